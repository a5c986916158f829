"""Runtime: the control loop and the world it runs in."""
