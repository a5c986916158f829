"""What-ifs: a scenario is applied to a baseline, both are planned, and the plans are compared."""
