"""The demonstration's rigs are at addresses that nothing else uses."""

from __future__ import annotations

import socket
from dataclasses import replace

from dispatch.rigs.wire import PORT
from dispatch.service.demo import hold_addresses, needs_simulated_rigs
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from dispatch.site_file.setup import Setup


def subnets_of(setup: Setup) -> list[str]:
    return [str(g.driver["subnet"]) for g in setup.site.groups if "subnet" in g.driver]


def test_a_second_demonstration_gets_other_addresses_before_the_first_has_started_a_rig() -> None:
    path = default_file(DEMO_SITE)
    first, second = hold_addresses(path), hold_addresses(path)
    with first.hold, second.hold:
        at, subnets = (subnets_of(load_site_file(path, held.sections)) for held in (first, second))
        moved = load_site_file(path, second.sections)
    assert not set(at) & set(subnets) and len(set(subnets)) == 3
    assert moved.site.meters[0].driver is not None and moved.site.meters[0].driver["host"].split(".")[1] == subnets[0].split(".")[1]
    assert [g.rigs for g in moved.site.groups] == [g.rigs for g in load_site_file(path).site.groups]


def test_a_demonstration_avoids_addresses_at_which_something_else_listens() -> None:
    path = default_file(DEMO_SITE)
    first = hold_addresses(path)
    at = subnets_of(load_site_file(path, first.sections))
    with first.hold, socket.socket() as rig:
        rig.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections to an earlier demonstration's rig may linger there
        rig.bind((at[1].removesuffix("0/24") + "1", PORT))
        rig.listen()
        first.hold.close()
        with (second := hold_addresses(path)).hold:
            assert not set(at) & set(subnets_of(load_site_file(path, second.sections)))


def test_a_site_of_loopback_rigs_that_hash_on_a_cpu_is_served() -> None:
    path = default_file(DEMO_SITE)
    with (held := hold_addresses(path)).hold:
        setup = load_site_file(path, held.sections)
    assert needs_simulated_rigs(setup)
    elsewhere = [g.model_copy(update={"driver": {**g.driver, "host": "10.0.0.2"}}) if g.name == "a-cpu" else g for g in setup.site.groups]
    assert not needs_simulated_rigs(replace(setup, site=setup.site.model_copy(update={"groups": tuple(elsewhere)})))
