"""A simulated Proto Fleet server over a fleet in this process: the three calls that the bridge uses, as Connect serves them.

It answers as its .proto files and connect-go's JSON say: unknown fields are let pass, zeros are left out, errors are {"code", "message"}
with the protocol's HTTP status, a page holds 50 miners by default, 1,000 at most, keys come as Bearer tokens. Source:
github.com/block/proto-fleet, 2026-08-21; connectrpc.com/docs/protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from dispatch.clock import Clock, wall_now
from dispatch.sim.fleet import Fleet

STATUS = {"invalid_argument": 400, "failed_precondition": 400, "unauthenticated": 401, "permission_denied": 403, "not_found": 404}
FIRST_PAGE, MOST = 50, 1000


class ProtoFleet:
    """The server's rigs: `devices` by group and position. `curtailed` ones are part of somebody's curtailment event: commands skip them."""

    def __init__(self, fleet: Fleet, devices: Mapping[str, Sequence[str]], key: str, clock: Clock) -> None:
        self._fleet, self._key, self._clock = fleet, key, clock
        self._places = {device: (group, k) for group, names in devices.items() for k, device in enumerate(names)}
        self._batches = count(1)
        self.curtailed: set[str] = set()

    def app(self) -> FastAPI:
        """What an ASGI server serves."""
        app = FastAPI(openapi_url=None)

        @app.post("/{service}/{method}")
        async def call(service: str, method: str, request: Request) -> JSONResponse:
            if request.headers.get("content-type", "").partition(";")[0] != "application/json":
                return JSONResponse(None, 415)
            if request.headers.get("authorization") != f"Bearer {self._key}":
                return _error("unauthenticated", "invalid API key")
            return self._called(f"{service}/{method}", await request.json())

        return app

    def _called(self, procedure: str, document: Mapping[str, Any]) -> JSONResponse:
        self._fleet.advance(self._clock.now().timestamp())
        match procedure:
            case "minercommand.v1.MinerCommandService/StopMining":
                return self._command(document, "sleep")
            case "minercommand.v1.MinerCommandService/StartMining":
                return self._command(document, None)
            case "fleetmanagement.v1.FleetManagementService/ListMinerStateSnapshots":
                return self._snapshots(document)
        return JSONResponse(None, 404)

    def _command(self, document: Mapping[str, Any], mode: str | None) -> JSONResponse:
        names = document.get("deviceSelector", {}).get("includeDevices", {}).get("deviceIdentifiers", [])
        if not names or any(name not in self._places for name in names):
            return _error("invalid_argument", "no such device")
        if blocked := self.curtailed.intersection(names):
            return _error("failed_precondition", f"{len(blocked)} devices are part of an active curtailment event")
        for name in names:
            group, rig = self._places[name]
            at = np.array([rig])
            if mode is None:
                self._fleet.wake(group, at)
            else:
                self._fleet.command(group, at, mode)
        return JSONResponse({"batchIdentifier": f"batch-{next(self._batches)}"})

    def _snapshots(self, document: Mapping[str, Any]) -> JSONResponse:
        size = int(document.get("pageSize") or FIRST_PAGE)
        if not 0 < size <= MOST:
            return _error("invalid_argument", "page_size must be at most 1000")
        names, first = sorted(self._places), int(document.get("cursor") or 0)
        page = names[first : first + size]
        out: dict[str, Any] = {"miners": [self._snapshot(name) for name in page], "totalMiners": len(names)}
        if first + size < len(names):
            out["cursor"] = str(first + size)
        return JSONResponse(out)

    def _snapshot(self, name: str) -> dict[str, Any]:
        group, rig = self._places[name]
        watts, ths = (float(x[0]) for x in self._fleet.read(group, np.array([rig])))
        now = wall_now().isoformat()
        if np.isnan(watts):
            return {"deviceIdentifier": name, "timestamp": now, "deviceStatus": "DEVICE_STATUS_OFFLINE"}
        return {
            "deviceIdentifier": name,
            "timestamp": now,
            "deviceStatus": "DEVICE_STATUS_ONLINE" if ths else "DEVICE_STATUS_INACTIVE",
            "powerUsage": [_measured(now, watts / 1e3, "KILOWATT")],
            "hashrate": [_measured(now, ths, "TERAHASH_PER_SECOND")],
        }


def _measured(at: str, value: float, unit: str) -> dict[str, Any]:
    return {"timestamp": at, **({"value": value} if value else {}), "unit": f"MEASUREMENT_UNIT_{unit}"}


def _error(code: str, message: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": message}, STATUS[code])
