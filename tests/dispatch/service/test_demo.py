"""The demonstration's rigs are at addresses that nothing else uses."""

from __future__ import annotations

import socket

from dispatch.rigs.wire import PORT
from dispatch.service.demo import free_addresses
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from dispatch.site_file.setup import Setup


def subnets_of(setup: Setup) -> list[str]:
    return [str(g.driver["subnet"]) for g in setup.site.groups if "subnet" in g.driver]


def test_a_second_demonstration_gets_free_addresses() -> None:
    path = default_file(DEMO_SITE)
    first = free_addresses(path)
    at = subnets_of(load_site_file(path, first))
    with socket.socket() as rig:
        rig.bind((at[1].removesuffix("0/24") + "1", PORT))
        rig.listen()
        second = free_addresses(path)
    moved = load_site_file(path, second)
    subnets = subnets_of(moved)
    assert not set(at) & set(subnets) and len(set(subnets)) == 3
    assert moved.site.meters[0].driver is not None and moved.site.meters[0].driver["host"].split(".")[1] == subnets[0].split(".")[1]
    assert [g.rigs for g in moved.site.groups] == [g.rigs for g in load_site_file(path).site.groups]
