"""Whatever bytes come in: they are read, or refused in words; nothing else is raised, and nothing takes long."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal as D

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.imports import UnreadableDocument
from dispatch.imports.calendar import read_calendar
from dispatch.imports.detect import read_meter_file, read_statement_file
from markets.grid import Market
from tests.dispatch.imports.ercot_documents import extract_csv, statement_xml
from tests.dispatch.imports.espi_feed import feed
from tests.optimizer.fixtures import group, site

ON = date(2026, 8, 20)
SITE = site(group("g"))
CHARGES = [D(n) / 7 for n in range(96)]
SEEDS = [
    b"start,end,kWh,quality\n2026-08-20T05:00Z,2026-08-20T05:15Z,12,A\n2026-08-20T05:15Z,2026-08-20T05:30Z,13,E\n",
    b"Date,Start Time,End Time,Usage (kWh)\n11/01/2026,01:00,01:15,1\n11/01/2026,01:00,01:15,2\n",
    feed([100, 200], int(datetime(2026, 8, 20, 5, tzinfo=UTC).timestamp()), returned=[1, 2]).encode(),
    statement_xml(ON, {"RTEIAMT": CHARGES[:8], "SPDAMT": D("3.5")}).encode(),
    extract_csv(ON, {("RTEIAMT", ""): CHARGES})[1].encode(),
    b"Operating Date,Charge Type,Hour Ending,Amount\n2026-08-20,Real Time Asset Energy,HE07,12.50\n",
    b"SETTLEMENTTYPE,OPERATINGDATE,POSTDATE\nRTM_INITIAL,08/20/2026,08/25/2026\n",
]  # fmt: skip
MAPS = ["", 'kind = "invoice"\nfrom = 2026-08-01\nto = 2026-08-31\n', 'unit = "kWh"\ninterval_min = 15\n', "nonsense"]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Bytes of any kind, or a sound document with a few pieces cut out, doubled or written over."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(content))), draw(st.integers(0, 30))
        piece = draw(
            st.sampled_from(
                [b"", content[at : at + length] * 2, b"\xff\xfe", b"NaN", b"-1e999", b"99", b"9999", b"0001", b"<", b"&x;", b'"', b",,"]
            )
        )
        content = content[:at] + piece + content[at + length :]
    return content


@settings(max_examples=400)
@given(documents(), st.sampled_from(MAPS), st.sampled_from(list(Market)))
def test_any_bytes_are_read_or_refused(content: bytes, map_text: str, market: Market) -> None:
    try:
        file = read_meter_file(content, map_text, SITE)
        assert all(r.mwh.is_finite() and r.over.hours <= 24 for r in file.readings)
        spans = sorted((r.over for r in file.readings), key=lambda o: o.start)
        assert not any(a.overlaps(b) for a, b in zip(spans, spans[1:], strict=False))
    except UnreadableDocument as fault:
        assert str(fault)
    try:
        received, _ = read_statement_file(content, map_text, market)
        assert received.first <= received.last and all(c.amount_usd.is_finite() and c.code for c in received.charges)
    except UnreadableDocument as fault:
        assert str(fault)
    try:
        read_calendar(content)
    except UnreadableDocument as fault:
        assert str(fault)
