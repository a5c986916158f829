"""The tables [[links]] of a site file: which counterparty reaches the site, how, and for which contract.

`kind` chooses the class, a plug-in of the group LINKS. Secrets are named by reference.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dispatch.site_file import plugins
from dispatch.site_file.field_types import Listen, Reference, Text, Url
from dispatch.site_file.setup import PluginSection, Setup
from optimizer.domain.site import Positive

if TYPE_CHECKING:
    from dispatch.signals.links.link import Link

ReadSecret = Callable[[str], str]
Unit = Annotated[int, Field(ge=1, le=247)]
DnpAddress = Annotated[int, Field(ge=0, le=65519)]


class LinkSettings(PluginSection):
    """A table that names a link.

    obligation      the contract that its calls and set points are under
    silent_after_s  seconds without a sign of life after which it is an alarm
    """

    name: str
    kind: str
    obligation: str
    silent_after_s: Positive = 60.0

    def opened(self, setup: Setup, secret: ReadSecret) -> Link:
        """The link; nothing is connected yet. `secret` gives what a reference leads to. Raises KeyError, OSError or ValueError."""
        raise NotImplementedError


class ModbusLink(LinkSettings):
    """A Modbus TCP server that the counterparty polls and writes its set point to."""

    kind: Literal["modbus"] = "modbus"
    listen: Listen
    unit: Unit = 1

    def opened(self, setup: Setup, secret: ReadSecret) -> Link:
        from dispatch.signals.links.modbus import ModbusServer

        return ModbusServer(self.listen, self.unit)


class Dnp3Link(LinkSettings):
    """A DNP3 outstation over TCP. `kw_per_count` is what one count of its points is worth; 1 kW unless the desk says otherwise."""

    kind: Literal["dnp3"] = "dnp3"
    listen: Listen
    outstation_address: DnpAddress = 10
    master_address: DnpAddress = 1
    kw_per_count: Positive = 1.0

    def opened(self, setup: Setup, secret: ReadSecret) -> Link:
        if importlib.util.find_spec("dnp3") is None:
            raise ValueError("dnp3py is not installed: install Loadstone with its extra `dnp3`")
        from dispatch.signals.links.dnp3 import Dnp3Outstation

        return Dnp3Outstation(self.listen, self.outstation_address, self.master_address, self.kw_per_count)


class OpenAdr2Link(LinkSettings):
    """An OpenADR 2.0b VEN that polls a VTN. It runs in a child process in an environment of its own, whose interpreter is `python`.
    `mw_per_unit` is what one unit of a LOAD_DISPATCH signal is worth that names no unit; 1 kW unless the desk says otherwise."""

    kind: Literal["openadr2"] = "openadr2"
    url: Url
    ven: Text
    poll_s: Positive = 10.0
    python: Text | None = None
    mw_per_unit: Positive = 0.001

    def opened(self, setup: Setup, secret: ReadSecret) -> Link:
        from dispatch.signals.links.openadr2 import ENVIRONMENT, EventTerms, OpenAdr2Ven

        python = setup.resolve(self.python) if self.python else ENVIRONMENT
        return OpenAdr2Ven(Path(python), self.url, self.ven, self.poll_s, EventTerms(self.obligation, self.mw_per_unit))


class OpenAdr3Link(LinkSettings):
    """An OpenADR 3 VEN that polls a VTN. `client` and `secret` are those of its OAuth2 client credentials."""

    kind: Literal["openadr3"] = "openadr3"
    url: Url
    ven: Text
    client: Text | None = None
    secret: Reference | None = None
    program: Text | None = None
    poll_s: Positive = 10.0

    def opened(self, setup: Setup, secret: ReadSecret) -> Link:
        from dispatch.signals.links.openadr3 import OpenAdr3Ven

        credentials = (self.client, secret(self.secret)) if self.client and self.secret else None
        return OpenAdr3Ven(self.url, self.ven, credentials, self.program, self.poll_s, self.obligation)


class WebhookLink(LinkSettings):
    """An HTTP address to which the counterparty posts calls, each signed with a shared secret (HMAC-SHA256)."""

    kind: Literal["webhook"] = "webhook"
    listen: Listen
    secret: Reference

    def opened(self, setup: Setup, secret: ReadSecret) -> Link:
        from dispatch.signals.links.webhook import Webhook

        return Webhook(self.listen, secret(self.secret), self.obligation)


def links_of(setup: Setup) -> list[LinkSettings]:
    """The links of a site."""
    kinds = plugins.installed(plugins.LINKS)
    return [kinds[str(table["kind"])].model_validate(table) for table in setup.document.get("links", ())]
