"""The how-to pages, done as they say: what they write is held to the kits, then plugged in beside Loadstone and used by a site file."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dispatch.clock import VirtualClock
from dispatch.sim.driver import SimulatedDriver
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from optimizer.domain.formula import Charge
from optimizer.lp.program import Program
from tests.conformance.driver_kit import LAWS, Bench
from tests.dispatch.rigs.fakes import START, site
from tests.docs.pages import DOCS, blocks, run_block
from tests.e2e.site import ENVIRONMENT

HOW = {"curtailment": "add-an-obligation.md", "gateway": "add-a-driver.md", "desk": "add-a-source.md"}


def of(name: str, kind: str) -> list[str]:
    return [body for found, body in blocks(DOCS / "how-to" / HOW[name]) if found == kind]


def written(name: str) -> ModuleType:
    """The module that a page's first block is."""
    return run_block(of(name, "python")[0], name)


def contract_tests(contract: type[Any]) -> ModuleType:
    """The tests that the page writes for its contract."""
    return run_block(of("curtailment", "python")[1], "curtailment_kit", Curtailment=contract)


def test_the_contract_keeps_the_law_and_remembers_days() -> None:
    tests = contract_tests(written("curtailment").Curtailment)
    tests.test_the_contract_keeps_the_law()
    tests.test_only_so_many_days_of_a_month_are_paid()


def test_the_kit_finds_a_contract_that_bills_more_than_its_charges() -> None:
    contract = written("curtailment").Curtailment

    class Fined(contract):  # type: ignore[misc,valid-type]
        def charges(self, its: Any) -> Any:
            fee = its.during(None) * its.number(1 if isinstance(its, Program) else -1)
            yield from super().charges(its)
            yield Charge("fee", its.sum([]) + its.hours, "h", fee, self.rule)

    with pytest.raises(AssertionError):
        contract_tests(Fined).test_the_contract_keeps_the_law()


def test_a_contract_without_a_memory_pays_too_many_days() -> None:
    contract = written("curtailment").Curtailment

    class Forgetful(contract):  # type: ignore[misc,valid-type]
        def remember(self, memory: Any, then: Any) -> Any:
            return memory

    with pytest.raises(AssertionError):
        contract_tests(Forgetful).test_only_so_many_days_of_a_month_are_paid()


async def test_the_source_conforms(tmp_path: Path) -> None:
    kit = run_block(of("desk", "python")[1], "desk_kit", DeskSource=written("desk").DeskSource)
    await kit.test_the_desk_conforms(tmp_path)


@asynccontextmanager
async def gateway_bench() -> AsyncIterator[Bench]:
    """Simulated rigs behind a gateway on loopback; it never answers for rig 2."""
    module, group, clock = written("gateway"), site(6).groups[0], VirtualClock(START)
    spec = spec_of([group]).with_faults([ScheduledFault(RigFault.HANGS, "g0", (2,))])
    rigs = SimulatedDriver(Fleet(spec, 3, START.timestamp()), "g0", clock)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(await reader.readline())
        if "mode" in asked:
            sent = await rigs.set_mode([asked["rig"]], asked["mode"], 1.0)
            reply: dict[str, Any] = {"said": next(word for word in sent.__dataclass_fields__ if getattr(sent, word))}
        else:
            reading = await rigs.read([asked["rig"]], 1.0)
            reply = {"watts": float(reading.watts[0]), "ths": float(reading.ths[0])}
        if asked["rig"] != 2:
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        else:
            await reader.read()
        writer.close()

    async def later(seconds: float) -> None:
        await clock.sleep_until(clock.now() + timedelta(seconds=seconds))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        driver = module.GatewayDriver(host="127.0.0.1", port=server.sockets[0].getsockname()[1]).reach(None, "g0", clock)
        yield Bench(driver, group, (0, 1, 3, 4, 5), (2,), later)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_the_driver_keeps_every_law(law: Callable[[Bench], Awaitable[None]]) -> None:
    async with gateway_bench() as bench:
        await law(bench)
        kit = run_block(of("gateway", "python")[1], "gateway_kit")
        assert kit.LAWS is LAWS


SITE = """
[site]
name = "Plugged"
market = "ercot"
settlement_point = "LZ_WEST"
interconnect_mw = 10.0

[[meters]]
id = "main"

[[halls]]
name = "a"
meter = "main"
limit_mw = 10.0

[hash]
source = "fixed"
usd_per_ph_day = 45.0

"""


RESERVE = """
[[obligations]]
type = "ancillary"
products = ["ECRS"]
"""


def installed(folder: Path) -> dict[str, str]:
    """A distribution of the three pages beside Loadstone, as an installer leaves it; the environment that finds it."""
    info = folder / "plugged-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    lines = []
    for name in HOW:
        (folder / f"{name}.py").write_text(of(name, "python")[0])
        (entry,) = [body for body in of(name, "toml") if "entry-points" in body]
        header, _, word = entry.strip().partition("\n")
        group = header.split('"')[1]
        key, _, target = word.partition(" = ")
        lines += [f"[{group}]", f"{key} = {target.strip(chr(34))}"]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(folder), ENVIRONMENT.get("PYTHONPATH", "")])}


def test_a_site_file_uses_all_three(tmp_path: Path) -> None:
    environment = installed(tmp_path / "plugged")
    tables = [body for name in HOW for body in of(name, "toml") if "entry-points" not in body]
    (tmp_path / "site.toml").write_text(SITE + "\n".join(tables))
    (tmp_path / "prices.csv").write_text(
        "known_at,start,end,point,usd_per_mwh\n2026-08-20T16:17:00Z,2026-08-20T16:00:00Z,2026-08-20T16:15:00Z,LZ_WEST,31.20\n"
    )

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dispatch.cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)

    def said(*words: str) -> Any:
        done = ran(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    checked = said("check", "site.toml")
    assert checked["prices"] == "desk"
    assert checked["groups"]["a-s21"]["driver"] == "gateway"
    assert "coop-curtailment" in [o["type"] for o in checked["obligations"]]
    plan = said("plan", "--config", "site.toml", "--at", "2026-08-20T16:20:00Z")
    assert any(interval["load_mw"] > 1 for interval in plan["intervals"])
    assert "curtailment_day" in json.dumps(plan["lines"])
    bad = (tmp_path / "site.toml").read_text().replace("paid_days = 4", "paid_days = 0")
    (tmp_path / "bad.toml").write_text(bad)
    done = ran("check", "bad.toml")
    assert done.returncode == 2 and "bad.toml: obligations.coop-curtailment.paid_days" in done.stderr
    (tmp_path / "twice.toml").write_text((tmp_path / "site.toml").read_text() + RESERVE)
    done = ran("check", "twice.toml")
    assert done.returncode == 2 and "'coop-curtailment': the load sells no other service" in done.stderr
