"""Documents that come in: meter files, statements, invoices and calendars, read as they are. Pure: bytes in, figures and findings out."""

from __future__ import annotations


class Unreadable(Exception):
    """The document as a whole cannot be read; the text says why, in the words of whoever sent it."""
