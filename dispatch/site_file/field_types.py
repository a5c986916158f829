"""Types of single fields in a site file, each with the check of its value and the message of what is wrong."""

from __future__ import annotations

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

DEFAULT_LISTEN = "127.0.0.1:8787"


def _http_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https address")
    if parts.username or parts.password:
        raise ValueError("holds a user or a password: secrets stay out of the site file (file:PATH or env:NAME)")
    return url.rstrip("/")


def _reference(text: str) -> str:
    kind, _, rest = text.partition(":")
    if kind not in ("file", "env") or not rest:
        raise ValueError("must be file:PATH or env:NAME: secrets stay out of the site file")
    return text


# Where rigs may be: private addresses (RFC 1918), a carrier's shared ones (RFC 6598), and loopback for simulated rigs.
_SITE_NETWORKS = tuple(ipaddress.IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"))
WIDEST_SUBNET = 16


def rig_network(text: str) -> ipaddress.IPv4Network:
    """A subnet that rigs may be in. Raises ValueError for one that is public, link-local, multicast or wider than /16: passwords that rigs
    are delivered with would be sent to everything in it."""
    try:
        network = ipaddress.IPv4Network(text, strict=True)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 subnet such as 10.20.0.0/16") from None
    if network.prefixlen < WIDEST_SUBNET:
        raise ValueError(f"{text} is wider than /{WIDEST_SUBNET}: name the subnets that the rigs are in")
    if not any(network.subnet_of(known) for known in _SITE_NETWORKS):
        kind = "link-local" if network.is_link_local else "public" if network.is_global else "reserved"
        raise ValueError(
            f"{text} is {kind}: rigs are asked, and passwords sent, in private subnets only (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,"
            " 100.64.0.0/10)"
        )
    return network


def _subnet(text: str) -> str:
    rig_network(text)
    return text


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT such as {DEFAULT_LISTEN}")
    return text


def _public_key(text: str) -> str:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError(f"{text!r} is not an Ed25519 public key: 64 hex digits, as `loadstone certificate` prints it")
    return text


Url = Annotated[str, AfterValidator(_http_address)]
Reference = Annotated[str, AfterValidator(_reference)]
Subnet = Annotated[str, AfterValidator(_subnet)]
Listen = Annotated[str, AfterValidator(_host_and_port)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
Text = Annotated[str, Field(min_length=1)]
