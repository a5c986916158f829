"""Web: the HTTP API and the pages."""
