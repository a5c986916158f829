"""Calls, awards and holds as JSON documents, validated alike from HTTP, the command line and the watched folder.

Every fault of a document is named at once, as (path, text). A time that is left out means the time at which the loop reads the document;
it is left out of the stored document too, so that a repeated post is the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dispatch.entries import Hold
from dispatch.signals.book_checks import award_faults, contract_faults
from dispatch.site_file import errors
from markets.facts import Award, Call, CallKind
from markets.grid import Interval, parse_instant, utc
from optimizer.domain.deployments import BASELINE
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Site


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """One thing that is wrong: where in the document ("prices.0.scale", "" for the whole), and what, in the user's words."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class InvalidDocument(Exception):
    """The document is wrong; `faults` names every fault of it."""

    def __init__(self, found: Iterable[DocumentFault]) -> None:
        self.faults = tuple(found)
        super().__init__("; ".join(map(str, self.faults)))


def _instant(value: Any) -> datetime:
    try:
        if isinstance(value, datetime):
            return utc(value)
        if isinstance(value, str):
            return parse_instant(value)
    except OverflowError:
        pass
    raise ValueError("needs an ISO 8601 instant with its offset, such as 2026-08-20T16:00:00Z")


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)]
Megawatts = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=100_000)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Words = Annotated[str, Field(max_length=500)]


class SignalDocument(BaseModel):
    """Something posted: unknown keys and wrong kinds are faults; a number is a number, never true or "5"."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CallDocument(SignalDocument):
    """An instruction to the site under one of its obligations. The highest `version` of an `id` counts."""

    id: Name
    version: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1
    obligation: Name
    kind: Literal["deploy", "recall", "cancel", "set_point", "test"]
    mw_cap: Megawatts | None = Field(None, description="The load is at most this, MW")
    mw_delta: Megawatts | None = Field(None, description="The load falls by this from what it was at notice, MW")
    mw_target: Megawatts | None = Field(None, description="The load is this, MW")
    notice_at: Instant | None = Field(None, description="When it was sent; when it is read, if left out")
    start_at: Instant | None = Field(None, description="When it begins to hold; at once, if left out")
    end_at: Instant | None = Field(None, description="When it ends; until recall, if left out")
    source: Words = "api"
    authority: Words = ""

    @model_validator(mode="after")
    def _one_figure(self) -> CallDocument:
        figures = [k for k in ("mw_cap", "mw_delta", "mw_target") if getattr(self, k) is not None]
        if self.kind in ("deploy", "set_point", "test") and len(figures) != 1:
            got = " and ".join(figures) or "none"
            raise ValueError(f"a {self.kind} needs exactly one of mw_cap, mw_delta and mw_target; it has {got}")
        if self.start_at and self.end_at and self.end_at <= self.start_at:
            raise ValueError("end_at must come after start_at")
        return self


class AwardDocument(SignalDocument):
    """Capacity sold: MW of a product over an interval at a clearing price; or, of kind BASELINE, the baseline a reduction is judged by."""

    obligation: Name
    kind: Literal["CAPACITY", "BASELINE"] = "CAPACITY"
    product: Name = Field(description="Of a baseline BASELINE, which may be left out")
    market: Literal["DAM", "RT", "SASM"] = Field(description="Of a baseline RT, which may be left out")
    interval_start: Instant
    interval_end: Instant
    mw: Megawatts
    mcpc_usd_per_mw_h: Number | None = Field(None, description="Left out until the market publishes it; then the published price pays")
    source: Words = "api"

    @model_validator(mode="before")
    @classmethod
    def _baseline(cls, document: Any) -> Any:
        if isinstance(document, Mapping) and document.get("kind") == "BASELINE":
            return {"product": BASELINE, "market": "RT", **document}
        return document

    @model_validator(mode="after")
    def _span(self) -> AwardDocument:
        if self.interval_end <= self.interval_start:
            raise ValueError("interval_end must come after interval_start")
        if self.kind == "BASELINE" and self.product != BASELINE:
            raise ValueError(f"a baseline is not {self.product}: leave product out")
        return self


class HoldDocument(SignalDocument):
    """A person's order: a group (the whole site when left out) at most `mw_cap` MW, or in `mode`, until `until` (24 hours after
    it was read when left out) or until it is released."""

    id: Name | None = None
    group: Name | None = None
    mode: Name | None = None
    mw_cap: Megawatts | None = None
    until: Instant | None = None
    by: Words = ""
    released: bool = False

    @model_validator(mode="after")
    def _one_order(self) -> HoldDocument:
        if not self.released and (self.mode is None) == (self.mw_cap is None):
            raise ValueError("a hold needs exactly one of mode and mw_cap")
        return self


D = TypeVar("D", bound=SignalDocument)


def parse_document(model: type[D], document: Any, at_path: str = "") -> D:
    """The document as a model. Raises InvalidDocument with every fault of it."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidDocument(document_faults(error, model, at_path)) from None


def document_faults(error: ValidationError, model: Any, at_path: str = "") -> list[DocumentFault]:
    """Pydantic's errors in the user's words, each with its path."""
    return [DocumentFault(joined_path(at_path, *loc), text) for loc, text in errors.validation_faults(error, model)]


def joined_path(*parts: str | int) -> str:
    """A path of keys and positions: ("prices", 0, "scale") is "prices.0.scale"."""
    return ".".join(str(p) for p in parts if p != "")


def stored_document(document: SignalDocument) -> dict[str, Any]:
    """The document as plain JSON values, what was left out still out: what the inbox keeps."""
    return document.model_dump(mode="json", exclude_unset=True, exclude_none=True)


def parse_call(
    document: Any, book: Sequence[Obligation], at: datetime, source: str | None = None, arrived_at: datetime | None = None
) -> Call:
    """The Call of a document that is read at `at`. Times that are left out are `arrived_at`, `at` when None. Raises InvalidDocument: keys,
    figures, times, an obligation not in the book."""
    call = document if isinstance(document, CallDocument) else parse_document(CallDocument, document)
    at = utc(at)
    start = call.start_at or arrived_at or at
    found = [DocumentFault(key, text) for key, text in contract_faults(call.obligation, book)]
    if call.end_at is not None and call.end_at <= start:
        found.append(DocumentFault("end_at", f"{_words(call.end_at)} is not after its start, {_words(start)}"))
    if found:
        raise InvalidDocument(found)
    figures = call.kind in ("deploy", "set_point", "test")
    return Call(
        source=source or call.source,
        known_at=at,
        id=call.id,
        version=call.version,
        obligation=call.obligation,
        kind=CallKind(call.kind),
        notice_at=call.notice_at or arrived_at or at,
        start_at=start,
        end_at=call.end_at,
        mw_cap=call.mw_cap if figures else None,
        mw_delta=call.mw_delta if figures else None,
        mw_target=call.mw_target if figures else None,
        authority=call.authority,
    )


def parse_award(document: Any, site: Site, book: Sequence[Obligation], at: datetime, source: str | None = None) -> Award:
    """The Award of a document that is read at `at`. Raises InvalidDocument: keys, figures, times, and what the contract does not sell."""
    award = document if isinstance(document, AwardDocument) else parse_document(AwardDocument, document)
    if found := award_faults(award.obligation, award.product, award.market, award.mw, site, book):
        raise InvalidDocument(DocumentFault(key, text) for key, text in found)
    return Award(
        source=source or award.source,
        known_at=utc(at),
        obligation=award.obligation,
        product=award.product,
        market=award.market,
        over=Interval(award.interval_start, award.interval_end),
        mw=award.mw,
        mcpc_usd_per_mw_h=award.mcpc_usd_per_mw_h,
    )


HOLD_LASTS = timedelta(hours=24)  # a hold that was sent without an end: every hold ends by itself


def parse_hold(document: Any, site: Site, by: str = "", at: datetime | None = None) -> Hold:
    """A hold on groups and modes that the site has, read at `at`. Its id must be set by now. Raises InvalidDocument."""
    hold = document if isinstance(document, HoldDocument) else parse_document(HoldDocument, document)
    found = [] if hold.id else [DocumentFault("id", "is missing")]
    groups = {g.name: g for g in site.groups}
    if hold.group is not None and hold.group not in groups:
        found.append(DocumentFault("group", f"the site has no group {hold.group!r}" + errors.did_you_mean(hold.group, groups)))
    elif hold.mode is not None:
        for group in [groups[hold.group]] if hold.group else site.groups:
            modes = [m.name for m in group.modes]
            if hold.mode not in modes:
                found.append(DocumentFault("mode", f"group {group.name!r} has no mode {hold.mode!r}; it has {', '.join(modes)}"))
    if found:
        raise InvalidDocument(found)
    until = hold.until or (at + HOLD_LASTS if at else None)
    return Hold(
        id=hold.id or "", group=hold.group, mode=hold.mode, mw_cap=hold.mw_cap, until=until, by=hold.by or by, released=hold.released
    )


def _words(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


_NUMBERS = {"version", "mw_cap", "mw_delta", "mw_target", "mw", "mcpc_usd_per_mw_h"}


def documents_in_file(text: str, suffix: str) -> list[tuple[str, dict[str, Any]]]:
    """The documents of a file, each with its place ("row 2"), not yet validated: JSON (one object or a list) or CSV with a header.

    Raises InvalidDocument when the file is neither.
    """
    return _csv_documents(text) if suffix.lower() == ".csv" else _json_documents(text)


def _json_documents(text: str) -> list[tuple[str, dict[str, Any]]]:
    try:
        parsed = json.loads(text, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise InvalidDocument([DocumentFault("", f"is not JSON: {error}")]) from None
    rows = parsed if isinstance(parsed, list) else [parsed]
    wrong = [
        DocumentFault(str(n) if isinstance(parsed, list) else "", "needs an object {...}")
        for n, row in enumerate(rows)
        if not isinstance(row, Mapping)
    ]
    if wrong:
        raise InvalidDocument(wrong)
    return [(str(n) if isinstance(parsed, list) else "", dict(row)) for n, row in enumerate(rows)]


def _csv_documents(text: str) -> list[tuple[str, dict[str, Any]]]:
    rows: list[tuple[str, dict[str, Any]]] = []
    found: list[DocumentFault] = []
    try:
        table = list(csv.DictReader(io.StringIO(text)))
    except csv.Error as fault:
        raise InvalidDocument([DocumentFault("", f"is not CSV: {fault}")]) from None
    for n, row in enumerate(table, start=2):
        where = f"row {n}"
        if None in row or None in row.values():
            found.append(DocumentFault(where, "has not as many columns as the header"))
            continue
        document: dict[str, Any] = {k.strip(): v.strip() for k, v in row.items() if v.strip()}
        for key in _NUMBERS & document.keys():
            try:
                document[key] = int(document[key]) if key == "version" else float(document[key])
            except ValueError:
                found.append(DocumentFault(f"{where}.{key}", f"needs a number, not {document[key]!r}"))
        rows.append((where, document))
    if found:
        raise InvalidDocument(found)
    return rows


def _not_a_number(word: str) -> Any:
    raise ValueError(f"{word} is not a number of JSON")
