"""The lists in which ERCOT's market information system names its documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

# gridstatus parses every entry of a list, and five days of dispatch runs take it a second. Publish times can be wrong by the hour of a
# clock change, so more than that is kept.
LISTED = timedelta(hours=3)


def newest_listed(entries: Sequence[Any]) -> list[Any]:
    """The entries of a document list that were published in the last three hours before the newest one."""
    published = [datetime.fromisoformat(entry["Document"]["PublishDate"]).replace(tzinfo=None) for entry in entries]
    oldest = max(published, default=datetime.max) - LISTED
    return [entry for entry, at in zip(entries, published, strict=True) if at >= oldest]
