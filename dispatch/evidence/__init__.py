"""Evidence: documents that prove how the site answered a call."""
