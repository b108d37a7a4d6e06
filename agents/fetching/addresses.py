"""Which addresses are public, and which hosts the operator let in although they are not. Pure.

`ipaddress` alone is not enough: it calls multicast and the NAT64 prefix global, and an IPv4 address may be carried
inside an IPv6 one in several ways. Whatever an address carries is judged as well.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_NEVER = (
    IPv6Network("::/96"),  # IPv4-compatible, deprecated
    IPv6Network("64:ff9b:1::/48"),  # NAT64 for local use
    IPv6Network("2001::/32"),  # Teredo: a tunnel to whatever it carries
    IPv6Network("fec0::/10"),  # site-local, deprecated
)


def is_public(text: str) -> bool:
    """Whether an address, as the resolver gave it, belongs to the public internet."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        carried = _carried(address)
        if carried is not None:
            return is_public(str(carried))
        if any(address in network for network in _NEVER):
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_loopback or address.is_unspecified
    )


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address inside: mapped, 6to4 or NAT64."""
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the operator lets through: ports of public hosts, and hosts (name or address) with or without a port
    that may be anywhere."""

    ports: frozenset[int] = frozenset({80, 443})
    hosts: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def parse(cls, hosts: tuple[str, ...] = (), ports: tuple[int, ...] = (80, 443)) -> Allowed:
        """Hosts as `name`, `name:8080`, `127.0.0.1:8080`, `[::1]:8080`. Raises ValueError with a sentence."""
        return cls(ports=frozenset(ports), hosts=frozenset(_host(text) for text in hosts))

    def also(self, host: str, port: int) -> Allowed:
        """The same, with one host more."""
        return Allowed(ports=self.ports, hosts=self.hosts | {(_plain(host), port)})

    def names(self, host: str, port: int) -> bool:
        """Whether this very host was let in by name, wherever it is."""
        plain = _plain(host)
        return (plain, port) in self.hosts or (plain, None) in self.hosts


def _host(text: str) -> tuple[str, int | None]:
    name, colon, port = text.strip().rpartition(":")
    if not colon or (":" in name and not name.endswith("]")):
        name, port = text.strip(), ""
    if port and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r} has no port between 1 and 65535 behind its colon")
    if not name or any(letter in name for letter in "/@ ?#"):
        raise ValueError(f"{text!r} is no host: write a name or an address, with or without a port: 127.0.0.1:8080")
    return _plain(name), int(port) if port else None


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()
