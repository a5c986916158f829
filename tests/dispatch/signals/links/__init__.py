"""Links, each against a peer that somebody else wrote."""
