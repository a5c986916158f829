"""Signals: calls, awards and holds that come in by HTTP, command line or a watched folder."""
