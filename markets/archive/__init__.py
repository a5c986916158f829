"""Archive: facts kept by operating day, and the tables they are imported from and exported to."""
