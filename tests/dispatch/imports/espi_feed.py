"""A Green Button feed made by hand, after the shape of NAESB's REQ.21 examples."""

from __future__ import annotations

from collections.abc import Sequence

HOST = "https://utility.example/espi/1_1/resource/RetailCustomer/7/UsagePoint/1"


def feed(values: Sequence[int], start_s: int, *, seconds: int = 900, title: str = "main", uom: int = 72, power: int = 3,
         quality: dict[int, int] | None = None, returned: Sequence[int] = (), head: str = "") -> str:  # fmt: skip
    """`values` in 10^power of the unit, one after the other from `start_s`; `returned` flow out, in a channel of their own."""
    channels = [("01", "1", values)] + ([("02", "19", returned)] if returned else [])
    entries = [entry(HOST, "<UsagePoint xmlns='http://naesb.org/espi'/>", title)]
    for id_, flow, of in channels:
        kind = f"{HOST}/ReadingType/{id_}"
        entries.append(entry(f"{HOST}/MeterReading/{id_}", "<MeterReading xmlns='http://naesb.org/espi'/>", related=kind))
        said = f"<flowDirection>{flow}</flowDirection><powerOfTenMultiplier>{power}</powerOfTenMultiplier><uom>{uom}</uom>"
        entries.append(
            entry(kind, f"<ReadingType xmlns='http://naesb.org/espi'><accumulationBehaviour>4</accumulationBehaviour>{said}</ReadingType>")
        )
        rows = "".join(
            f"<IntervalReading><ReadingQuality><quality>{(quality or {}).get(n, 0)}</quality></ReadingQuality><timePeriod>"
            f"<duration>{seconds}</duration><start>{start_s + n * seconds}</start></timePeriod><value>{v}</value></IntervalReading>"
            for n, v in enumerate(of)
        )
        block = f"<IntervalBlock xmlns='http://naesb.org/espi'>{rows}</IntervalBlock>"
        entries.append(entry(f"{HOST}/MeterReading/{id_}/IntervalBlock/1", block))
    return f"<?xml version='1.0' encoding='UTF-8'?>{head}<feed xmlns='http://www.w3.org/2005/Atom'>{''.join(entries)}</feed>"


def entry(href: str, content: str, title: str = "", related: str = "") -> str:
    also = f"<link rel='related' href='{related}'/>" if related else ""
    return f"<entry><link rel='self' href='{href}'/>{also}<title>{title}</title><content>{content}</content></entry>"
