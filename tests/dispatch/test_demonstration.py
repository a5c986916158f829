"""Where the demonstration's rigs are: at addresses nobody else has."""

from __future__ import annotations

import socket

from dispatch import config
from dispatch.demonstration import own_rigs
from dispatch.rigs.wire import PORT


def test_a_second_demonstration_has_rigs_of_its_own() -> None:
    path = config.default_file(config.DEMO)
    first = own_rigs(path)
    at = [str(config.load(path, first).driver(g.name).subnet) for g in config.load(path, first).site.groups]  # type: ignore[union-attr]
    with socket.socket() as rig:
        rig.bind((at[1].removesuffix("0/24") + "1", PORT))
        rig.listen()
        second = own_rigs(path)
    moved = config.load(path, second)
    subnets = [str(moved.driver(g.name).subnet) for g in moved.site.groups]  # type: ignore[union-attr]
    assert not set(at) & set(subnets) and len(set(subnets)) == 3
    assert [g.rigs for g in moved.site.groups] == [g.rigs for g in config.load(path).site.groups]
