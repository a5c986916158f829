"""Evidence: what shows how the site answered a call."""
