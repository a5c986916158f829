"""Times of the hour that the clock passes twice in the autumn, told apart by the order of a file's rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

# The start and the end of an interval as a file writes them, without an offset; None where it does not.
Labels = tuple[datetime | None, datetime | None]


def starts_by_order(labels: Sequence[Labels], length: timedelta, where: tzinfo) -> dict[int, datetime]:
    """Starts by position: of the rows that can begin at one instant only, and of the rows that could begin at two where those of the meter
    follow each other without a gap from a certain row to the next. An end may be written as the clock shows it (the first pass ends at
    01:00) or as the start and the length give it (02:00)."""
    options = [_starts(first, last, length, where) for first, last in labels]
    certain = [n for n, found in enumerate(options) if len(found) == 1]
    if len(certain) > 1 and min(options[certain[0]]) > min(options[certain[-1]]):  # the newest row comes first
        back = starts_by_order(list(labels)[::-1], length, where)
        return {len(labels) - 1 - n: at for n, at in back.items()}
    out = {n: min(options[n]) for n in certain}
    for before, after in zip([None, *certain], certain, strict=False):
        if before is None:  # the rows before the first certain one lead up to it
            run = {n: out[after] - (after - n) * length for n in range(after)}
        else:
            run = {n: out[before] + (n - before) * length for n in range(before + 1, after + 1)}
        if all(at in options[n] for n, at in run.items()):
            out |= run
    return out


def _starts(first: datetime | None, last: datetime | None, length: timedelta, where: tzinfo) -> set[datetime]:
    """The instants at which a row may begin."""
    if first is not None:
        return _instants(first, where)
    if last is None:
        return set()
    return {at - length for at in _instants(last, where)} | _instants(last - length, where)


def _instants(local: datetime, where: tzinfo) -> set[datetime]:
    """The instants at which the clock shows a time: two in the repeated hour, none in the skipped one."""
    if local.tzinfo is not None:
        return {local.astimezone(UTC)}
    both = {local.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return {at for at in both if at.astimezone(where).replace(tzinfo=None) == local}
