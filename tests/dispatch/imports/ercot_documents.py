"""ERCOT's statement XML and extract tables, made by hand after its schemas (Statements.xsd, Settlements.xsd)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from xml.sax.saxutils import escape

Amounts = Sequence[Decimal | None]


def statement_xml(
    on: date, charges: Mapping[str, Amounts | Decimal], *, market: str = "RTM", kind: str = "INITIAL", channel: int = 1, head: str = ""
) -> str:
    """Amounts in ERCOT's view (a payment to the QSE is negative): by interval, or a day's total. None leaves an interval out."""
    sections = []
    total = Decimal(0)
    for n, (code, amounts) in enumerate(charges.items()):
        given = [] if isinstance(amounts, Decimal) else list(amounts)
        amount = amounts if isinstance(amounts, Decimal) else sum((a for a in given if a is not None), Decimal(0))
        total += amount
        rows = "".join(
            f"<Interval NUM='{k}'><IntervalEnding>{k // 4 % 24:02d}:{k % 4 * 15:02d}</IntervalEnding>"
            f"<IntervalValue>{a}</IntervalValue></Interval>"
            for k, a in enumerate(given, 1)
            if a is not None
        )
        count = f"<NumberOfIntervals>{len(given)}</NumberOfIntervals>" if given else ""
        sections.append(
            f"<ChargeType><AmountDescription>{escape(code.title())}</AmountDescription><AmountCode>{escape(code)}</AmountCode>"
            f"<SortGroup>1</SortGroup><SortOrder>{n}</SortOrder><BillingDetails><Activity>Current</Activity><SaveChannel>{channel}</SaveChannel>"
            f"<Amount>{amount}</Amount><BillAmount>{amount}</BillAmount></BillingDetails>{count}{rows}</ChargeType>"
        )
    account = (
        f"<MarketType>{market}</MarketType><OperatingDay>{on:%m/%d/%Y}</OperatingDay><BatchDate>{on:%m/%d/%Y}</BatchDate>"
        f"<StatementType>{kind}</StatementType><Channel>{channel}</Channel><ParticipantName>HAND QSE</ParticipantName>"
        "<AccountID>1</AccountID><StatementID>1</StatementID>"
    )
    summary = f"<Summary><CurrentDollars><StatementTotal>{total}</StatementTotal><NetAmount>{total}</NetAmount></CurrentDollars></Summary>"
    data = f"<DataSection>{''.join(sections)}</DataSection>"
    return f"<?xml version='1.0'?>{head}<Statement><AccountSection>{account}</AccountSection>{data}{summary}</Statement>"


def extract_csv(on: date, rows: Mapping[tuple[str, str], Sequence[Decimal | None]], *, channel: int = 1) -> tuple[str, str]:
    """Header and interval table of (bill determinant, settlement point) rows; None leaves a cell empty."""
    header = ["UIDRTMOUTPUTHEADER,SAVERECORDER,SAVECHANNEL,UIDBILLDETERMINANT,QSECODE,UIDSETLPOINT"]
    most = max(len(values) for values in rows.values())
    cells = ",".join(f"INT{n:03d}" for n in range(1, most + 1))
    intervals = [f"UIDRTMOUTPUTINTERVAL,UIDRTMOUTPUTHEADER,STARTTIME,STOPTIME,SPI,UOMCODE,DSTPARTICIPANT,TOTAL,INTERVALCOUNT,{cells}"]
    for n, ((code, point), values) in enumerate(rows.items(), 1):
        header.append(f"{n},{code}_HANDQSE,{channel},{100 + n},HANDQSE,{point}")
        given = ",".join("" if v is None else str(v) for v in values)
        total = sum((v for v in values if v is not None), Decimal(0))
        intervals.append(f"{n},{n},{on:%m/%d/%Y} 00:00:00,{on:%m/%d/%Y} 23:59:59,900,01,Y,{total},{len(values)},{given}")
    return "\n".join(header), "\n".join(intervals)
