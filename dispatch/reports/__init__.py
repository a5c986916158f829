"""Reports: what a day earned, why, and what went wrong."""
