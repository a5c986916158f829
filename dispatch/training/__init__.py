"""Price models trained on an archive, scored against the last price, and stored."""
