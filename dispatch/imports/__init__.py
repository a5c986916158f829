"""Documents from outside: meter files, statements, invoices and calendars. Pure: bytes in, figures and findings out."""

from __future__ import annotations


class UnreadableDocument(Exception):
    """The document as a whole cannot be read; the text says why, in the terms of its sender."""
