"""A DNP3 (IEEE 1815) outstation over TCP, through dnp3py: the site's points, and the base point that a master operates.

analog inputs   0 load · 1 lowest · 2 highest · 3 ramp a minute · 4 set point in force (-1: none) · 5, 6, ... capability of each
                    product, in the contract's order; in counts of `kw_per_count`
binary inputs   0 the site responds · 1 a set point is in force
analog output   0 the base point, in the same counts
binary output   0 follow the base point; latched off it ends
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from dnp3.core.enums import ControlCode
from dnp3.database import AnalogInputConfig, AnalogOutputConfig, BinaryInputConfig, BinaryOutputConfig, Database
from dnp3.outstation import DefaultCommandHandler, Outstation, OutstationConfig, OutstationTcpRunner
from dnp3.outstation.handler import CommandResult

from dispatch.signals.links.link import LinkFault, SiteSide, SiteTelemetry

logging.getLogger("dnp3").setLevel(logging.CRITICAL + 1)

UPDATED_EVERY_S = 0.5
NONE = -1
MOST_PRODUCTS = 8


def analog_counts(telemetry: SiteTelemetry, standing_mw: float | None, kw_per_count: float) -> list[int]:
    """The counts of the analog inputs, in their order."""
    mw = [telemetry.load_mw, telemetry.lowest_mw, telemetry.highest_mw, telemetry.ramp_mw_per_min]
    counts = [round(each * 1000.0 / kw_per_count) for each in (*mw, standing_mw or 0.0, *telemetry.capability_mw.values())]
    counts[4] = NONE if standing_mw is None else counts[4]
    return counts[: 5 + MOST_PRODUCTS]


class _Commands(DefaultCommandHandler):
    """What a master may operate: the base point, and whether it is followed."""

    def __init__(self, site: SiteSide, kw_per_count: float) -> None:
        self._site, self._kw = site, kw_per_count

    def select_analog_output(self, index: int, value: float) -> CommandResult:
        self._site.heard()
        return CommandResult.success() if index == 0 and value >= 0 else CommandResult.out_of_range(f"analog output {index}: {value}")

    def operate_analog_output(self, index: int, value: float, select_sequence: int) -> CommandResult:
        return self.direct_operate_analog_output(index, value)

    def direct_operate_analog_output(self, index: int, value: float) -> CommandResult:
        if index != 0:
            return CommandResult.not_supported(f"there is no analog output {index}")
        answer = self._site.set_point(value * self._kw / 1000.0)
        return CommandResult.success() if answer.accepted else CommandResult.out_of_range(answer.refused)

    def select_binary_output(self, index: int, code: ControlCode, count: int, on_time: int, off_time: int) -> CommandResult:
        self._site.heard()
        return CommandResult.success() if index == 0 and code in _LATCHES else CommandResult.not_supported(f"binary output {index}")

    def operate_binary_output(
        self, index: int, code: ControlCode, count: int, on_time: int, off_time: int, select_sequence: int
    ) -> CommandResult:
        return self.direct_operate_binary_output(index, code, count, on_time, off_time)

    def direct_operate_binary_output(self, index: int, code: ControlCode, count: int, on_time: int, off_time: int) -> CommandResult:
        if index != 0 or code not in _LATCHES:
            return CommandResult.not_supported(f"binary output {index}")
        if code == ControlCode.LATCH_ON:  # the base point is followed as soon as it is operated
            return CommandResult.success()
        answer = self._site.release()
        return CommandResult.success() if answer.accepted else CommandResult.blocked(answer.refused)


_LATCHES = (ControlCode.LATCH_ON, ControlCode.LATCH_OFF)


class _HeardOutstation(Outstation):
    """An outstation that notices every request of its master."""

    site: SiteSide

    def process_request(self, data, *, peer=None):  # type: ignore[no-untyped-def]
        self.site.heard()
        return super().process_request(data, peer=peer)


class Dnp3Outstation:
    """Listens at HOST:PORT for one master."""

    def __init__(self, listen: str, address: int, master_address: int, kw_per_count: float) -> None:
        host, _, port = listen.rpartition(":")
        self._host, self._port, self._kw = host, int(port), kw_per_count
        self._config = OutstationConfig(address=address, master_address=master_address, time_sync_required=False)

    async def run(self, site: SiteSide) -> None:
        """Serve until cancelled. Raises LinkFault where the address cannot be listened on."""
        database = _points(site)
        outstation = _HeardOutstation(database=database, config=self._config, handler=_Commands(site, self._kw))
        outstation.site = site
        runner = OutstationTcpRunner(outstation=outstation, host=self._host, port=self._port)
        serving = asyncio.create_task(runner.run())
        try:
            while not serving.done():
                self._update(database, site)
                await asyncio.sleep(UPDATED_EVERY_S)
            serving.result()
        except OSError as fault:
            raise LinkFault(f"{self._host}:{self._port} cannot be listened on: {fault.strerror or fault}") from fault
        finally:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await serving

    def _update(self, database: Database, site: SiteSide) -> None:
        telemetry, standing_mw = site.telemetry(), site.standing_mw()
        database.update_binary_input(0, value=telemetry is not None and telemetry.responding)
        database.update_binary_input(1, value=standing_mw is not None)
        if telemetry is not None:
            for index, count in enumerate(analog_counts(telemetry, standing_mw, self._kw)):
                database.update_analog_input(index, value=count)


def _points(site: SiteSide) -> Database:
    database = Database()
    for index in range(5 + MOST_PRODUCTS):
        database.add_analog_input(index, AnalogInputConfig())
    for index in range(2):
        database.add_binary_input(index, BinaryInputConfig())
    database.add_analog_output(0, AnalogOutputConfig())
    database.add_binary_output(0, BinaryOutputConfig())
    return database
