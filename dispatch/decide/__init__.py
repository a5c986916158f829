"""What to do now: pure functions from the folded journal to commands."""
