"""Runs in the feed's child process: ERCOT's documents through gridstatus. Its defects are handled here and only here.

Every request returns rows [start_s, end_s, point or product, value] and raises the error that occurred.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import gridstatus
import pandas as pd
from gridstatus.base import NoDataFoundException

from markets.sources.ercot_documents import newest_listed
from markets.sources.feed import Ask, rows_of

_DOCUMENTS_KEPT = 120
# The lists of dispatch and look-ahead runs, of which only the newest entries are read (NP6-788-CD, NP6-970-CD, NP6-332-CD, NP6-329-CD).
_RUN_LISTS = ("reportTypeId=12300&", "reportTypeId=13073&", "reportTypeId=24891&", "reportTypeId=24889&")


class ErcotReader(gridstatus.Ercot):
    """gridstatus's class, changed to keep documents, to do without the settlement point mapping, and to keep the exceptions that its
    decorators swallow."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Exception | None = None
        self._kept: OrderedDict[str, pd.DataFrame] = OrderedDict()

    def _get_settlement_point_mapping(self, verbose: bool = False) -> pd.DataFrame:
        # The mapping only tells resource nodes from the rest, which is not needed; it costs a listing and 184 kB at each call.
        return pd.DataFrame({"RESOURCE_NODE": pd.Series(dtype=str)})

    def _get_json(self, url: str, *args: Any, **kwargs: Any) -> Any:
        answer = super()._get_json(url, *args, **kwargs)
        if any(part in url for part in _RUN_LISTS):
            listed = answer["ListDocsByRptTypeRes"]
            listed["DocumentList"] = newest_listed(listed["DocumentList"])
        return answer

    def _get_documents(self, *args: Any, **kwargs: Any) -> list[Any]:
        with self._keeping_fault():
            try:
                return _last_tries(super()._get_documents(*args, **kwargs))
            except ValueError as fault:
                if "empty" in str(fault):  # the newest of no documents
                    raise NoDataFoundException("no documents are listed") from None
                raise

    def read_doc(self, doc: Any, *args: Any, **kwargs: Any) -> pd.DataFrame:
        # A posted document never changes, a new one has a new id: overlapping windows cost nothing, one 503 costs one document.
        with self._keeping_fault():
            if doc.url not in self._kept:
                self._kept[doc.url] = super().read_doc(doc, *args, **kwargs)
                while len(self._kept) > _DOCUMENTS_KEPT:
                    self._kept.popitem(last=False)
            return self._kept[doc.url].copy()

    @contextlib.contextmanager
    def _keeping_fault(self) -> Iterator[None]:
        try:
            yield
        except Exception as fault:
            self.fault = fault
            raise


def _last_tries(documents: list[Any]) -> list[Any]:
    """Without the documents that ERCOT posted again under "_retry": the interval would come twice."""
    again = {doc.friendly_name.replace("_retry", "") for doc in documents if "_retry" in doc.friendly_name}
    return [doc for doc in documents if "_retry" in doc.friendly_name or doc.friendly_name not in again]


def raising(reader: ErcotReader, call: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """What `call` returns. Where gridstatus prints an error and goes on, that error is raised."""
    reader.fault, printed = None, io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            frame = call()
    except Exception as fault:
        raise (reader.fault or fault) from None
    if reader.fault is not None:
        raise reader.fault
    if "Error:" in printed.getvalue():
        raise ValueError(printed.getvalue()[:300])
    return frame


def real_time(reader: ErcotReader, points: Sequence[str], start: str, end: str) -> list[list[Any]]:
    """Real-time prices of the intervals that start in [start, end) (NP6-905-CD); LZ_x is the load zone, LZ_x_EW its weighted twin."""
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    frame = raising(reader, lambda: reader.get_spp(first, end=last, market="REAL_TIME_15_MIN"))
    rows = rows_of(frame, "SPP", "Location", points)
    # Names that gridstatus cannot date match every window.
    return [row for row in rows if first.timestamp() <= row[0] < last.timestamp()]


def day_ahead(reader: ErcotReader, points: Sequence[str], day: str) -> list[list[Any]]:
    """Day-ahead prices of one operating day (NP4-190-CD); single days, for ranges filter on the publish time."""
    frame = raising(reader, lambda: reader.get_spp(day, market="DAY_AHEAD_HOURLY"))
    return rows_of(frame, "SPP", "Location", points)


def reserve(reader: ErcotReader, day: str) -> list[list[Any]]:
    """DAM clearing prices for capacity of one operating day (NP4-188-CD)."""
    frame = raising(reader, lambda: reader.get_mcpc_dam(day))
    frame["AS Type"] = frame["AS Type"].str.strip()
    return rows_of(frame, "MCPC", "AS Type")


def real_time_reserve(reader: ErcotReader, start: str, end: str) -> list[list[Any]]:
    """Real-time clearing prices for capacity by settlement interval (NP6-331-CD, from 2025-12-05), posted in about [start, end)."""
    frame = raising(reader, lambda: reader.get_mcpc_real_time_15_min(pd.Timestamp(start), end=pd.Timestamp(end)))
    frame["AS Type"] = frame["AS Type"].str.strip()
    return rows_of(frame, "MCPC", "AS Type")


def dispatch_run(reader: ErcotReader, points: Sequence[str]) -> list[list[Any]]:
    """LMPs of the newest dispatch (SCED) run (NP6-788-CD), posted within seconds of it; each counts until the next run, five minutes."""
    frame = raising(reader, lambda: reader.get_lmp_by_settlement_point("latest"))
    return rows_of(frame, "LMP", "Location", points)


def look_ahead(reader: ErcotReader, points: Sequence[str], start: str, end: str) -> list[list[Any]]:
    """Indicative LMPs of the next 55 minutes of the newest look-ahead (RTD) run posted in [start, end) (NP6-970-CD)."""
    frame = raising(reader, lambda: reader.get_indicative_lmp_by_settlement_point(pd.Timestamp(start), end=pd.Timestamp(end)))
    frame = _newest(frame, "RTD Timestamp")
    return rows_of(frame[~frame["Location Type"].eq("LZEW")], "LMP", "Location", points)


def reserve_run(reader: ErcotReader, start: str, end: str) -> list[list[Any]]:
    """Clearing prices for capacity of the newest dispatch run posted in [start, end) (NP6-332-CD, from 2025-12-05)."""
    frame = _newest(raising(reader, lambda: reader.get_mcpc_sced(pd.Timestamp(start), end=pd.Timestamp(end))), "SCED Timestamp")
    frame["AS Type"] = frame["AS Type"].str.strip()
    frame["Interval Start"] = frame["SCED Timestamp"].dt.tz_convert("UTC").dt.floor("5min")
    frame["Interval End"] = frame["Interval Start"] + pd.Timedelta(minutes=5)
    return rows_of(frame, "MCPC", "AS Type")


def look_ahead_of_reserve(reader: ErcotReader, start: str, end: str) -> list[list[Any]]:
    """Indicative clearing prices for capacity of the newest look-ahead run posted in [start, end) (NP6-329-CD)."""
    frame = _newest(raising(reader, lambda: reader.get_indicative_mcpc_rtd(pd.Timestamp(start), end=pd.Timestamp(end))), "RTD Timestamp")
    spans = ["Interval Start", "Interval End"]
    products = [name for name in frame.columns if name not in (*spans, "RTD Timestamp")]
    return rows_of(frame.melt(spans, products, "AS Type", "MCPC"), "MCPC", "AS Type")


def _newest(frame: pd.DataFrame, run: str) -> pd.DataFrame:
    return frame[frame[run] == frame[run].max()].sort_values([name for name in ("Interval Start", run) if name in frame.columns])


def load(reader: ErcotReader, start: str, end: str) -> list[list[Any]]:
    """System-wide demand by quarter hour (NP6-235-CD), posted hourly."""
    frame = raising(reader, lambda: reader.get_system_wide_actual_load(pd.Timestamp(start), end=pd.Timestamp(end)))
    return rows_of(frame, "Demand", name="ERCOT")


def load_of_today(reader: ErcotReader) -> list[list[Any]]:
    """System-wide demand of today's complete quarter hours, the means of the supply and demand dashboard's five minutes."""
    frame = raising(reader, lambda: reader.get_load("today"))
    quarter = frame["Interval Start"].dt.tz_convert("UTC").dt.floor("15min")
    means = frame.groupby(quarter)["Load"].agg(["mean", "count"]).reset_index(names="Interval Start")
    means = means[means["count"] == 3].assign(**{"Interval End": lambda made: made["Interval Start"] + pd.Timedelta(minutes=15)})
    return rows_of(means, "mean", name="ERCOT")


def load_forecast(reader: ErcotReader) -> list[list[Any]]:
    """The newest seven-day load forecast, system total by hour (NP3-560-CD)."""
    frame = raising(reader, lambda: reader.get_load_forecast("latest")).sort_values("Interval Start")
    return rows_of(frame, "System Total", name="ERCOT")


def corrections(reader: ErcotReader, market: str, points: Sequence[str], after: str) -> list[list[Any]]:
    """Corrected prices published after an instant (NP4-197-M, NP4-196-M); of several for one interval the last."""
    since = pd.Timestamp(after)
    if market == "REAL_TIME_15_MIN":
        frame = raising(reader, lambda: reader.get_rtm_price_corrections("RTM_SPP", published_after=since))
    else:
        frame = raising(reader, lambda: reader.get_dam_price_corrections("DAM_SPP", published_after=since))
    frame = frame.sort_values(["Interval Start", "Price Correction Time"]).drop_duplicates(["Interval Start", "Location"], keep="last")
    return rows_of(frame, "SPP Corrected", "Location", points)


def child() -> Mapping[str, Ask]:
    """The requests by name."""
    logging.getLogger("gridstatus").setLevel(logging.ERROR)
    reader = ErcotReader()
    prices = (real_time, day_ahead, reserve, real_time_reserve, corrections)
    runs = (dispatch_run, look_ahead, reserve_run, look_ahead_of_reserve)
    asks = (*prices, *runs, load, load_of_today, load_forecast)
    return {ask.__name__: partial(ask, reader) for ask in asks}
