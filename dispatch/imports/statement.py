"""A received statement or invoice as values, in the site's view: positive amounts are paid to the site."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from pydantic import Field, ValidationError

from dispatch.imports import UnreadableDocument
from markets.grid import Interval
from optimizer.domain.money import Finding
from optimizer.domain.site import Written


@dataclass(frozen=True, slots=True)
class ReceivedCharge:
    """A charge of a document over its days; `by_interval` is empty where it only says a total. `where` is its place in the file."""

    code: str
    name: str
    amount_usd: Decimal
    first: date
    last: date
    where: str
    by_interval: Mapping[Interval, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Determinant:
    """A quantity or price that charges were made of, as the document has it, by interval."""

    code: str
    point: str
    values: Mapping[Interval, Decimal]


@dataclass(frozen=True, slots=True)
class ReceivedStatement:
    """A document read: `kind` says what it is, `statement_type` and `version` what it calls itself, `market_type` DAM, RTM or nothing."""

    kind: str
    first: date
    last: date
    charges: tuple[ReceivedCharge, ...]
    findings: tuple[Finding, ...] = ()
    determinants: tuple[Determinant, ...] = ()
    statement_type: str = ""
    version: str = ""
    market_type: str = ""


class StatementColumns(Written):
    """Which column of an invoice or a statement says what."""

    charge: str | None = None
    amount: str | None = None
    from_: str | None = Field(default=None, alias="from")
    to: str | None = None
    hour: str | None = None
    statement: str | None = None


class StatementMap(Written):
    """How to read a statement or an invoice: what the file does not say.

    kind          ercot, miso or invoice, where its columns do not tell
    sign          what a positive amount is: a charge, as markets and suppliers write it, or a receipt
    charges       the file's charges = our charge types as OBLIGATION/CHARGE_TYPE, one or several; * stands for any obligation
    leave         charges of the file to leave out of the comparison: fees and taxes that no contract of the site settles
    determinants  numbers of bill determinants in an extract = their names
    points        numbers of settlement points in an extract = their names
    from, to      the days of an invoice whose rows do not say
    """

    kind: Literal["ercot", "miso", "invoice"] | None = None
    sign: Literal["charge", "receipt"] = "charge"
    columns: StatementColumns = StatementColumns()
    charges: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    leave: tuple[str, ...] = ()
    determinants: Mapping[str, str] = Field(default_factory=dict)
    points: Mapping[str, str] = Field(default_factory=dict)
    from_: date | None = Field(default=None, alias="from")
    to: date | None = None

    @property
    def to_site(self) -> int:
        """What an amount of the file is to be multiplied with: positive is paid to the site."""
        return -1 if self.sign == "charge" else 1

    def charge_types(self) -> dict[str, tuple[str, ...]]:
        """Our charge types by the file's charge."""
        return {code: (of,) if isinstance(of, str) else of for code, of in self.charges.items()}


def parse_statement_map(text: str) -> StatementMap:
    """The map in a TOML text. Raises UnreadableDocument with every fault, a line each."""
    try:
        return StatementMap.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UnreadableDocument(f"map: is not TOML: {error}") from None
    except ValidationError as error:
        raise UnreadableDocument("\n".join(f"map: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
