"""What-if: a scenario applied to a baseline and compared with it."""
