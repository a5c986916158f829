"""What the market says: facts with source and vintage, and forecasts of what is not published yet."""


class SourceError(Exception):
    """A source could not give what was asked. Log it once, log the recovery once."""


class Stale(SourceError):
    """The newest fact is older than the market allows."""


class NotPublished(SourceError):
    """The market has not published this yet."""


class Unreachable(SourceError):
    """The source did not answer, or answered with something that is not its document."""


class Refused(SourceError):
    """A frame was refused whole: it holds a value or a shape that cannot be true."""
