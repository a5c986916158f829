"""Service: the processes of a running site."""
