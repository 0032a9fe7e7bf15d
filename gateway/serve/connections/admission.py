"""Admission: a peer's address comes in; a place goes out, or whose limit is reached."""

from __future__ import annotations

import resource
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from gateway.serve.connections.limits import RESERVED_DESCRIPTORS, TURNED_AWAY

#: What one customer of a provider has: all of its addresses are one peer.
_NETWORK_BITS = 64


class Full(Enum):
    """Which limit."""

    PEER = "peer"
    ALL = "all"


class Place:
    """Of one connection that is in."""

    __slots__ = ("_admission", "_is_taken", "peer")

    def __init__(self, admission: Admission, peer: str) -> None:
        self._admission = admission
        self._is_taken = True
        self.peer = peer

    def leave(self) -> None:
        """The connection is gone."""
        if self._is_taken:
            self._is_taken = False
            self._admission.leave(self.peer)


class Admission:
    """Counts connections."""

    def __init__(self, per_peer: int, in_all: int) -> None:
        """Args: how many of one peer, and how many in all."""
        self.per_peer = per_peer
        self.in_all = in_all
        #: Connections that are in, by peer.
        self.peers: dict[str, int] = {}
        self.used = 0
        #: Asked for a place when there is none: whether it made some.
        self.make_room: Callable[[], bool] = lambda: False

    def enter(self, address: str) -> Place | Full:
        """A place for a connection from an address."""
        peer = peer_of(address)
        of_peer = self.peers.get(peer, 0)
        if of_peer >= self.per_peer:
            return Full.PEER
        if self.used >= self.in_all and not self.make_room():
            return Full.ALL
        self.peers[peer] = of_peer + 1
        self.used += 1
        return Place(self, peer)

    def leave(self, peer: str) -> None:
        """One of its connections is gone."""
        self.used -= 1
        left = self.peers[peer] - 1
        if left:
            self.peers[peer] = left
        else:
            del self.peers[peer]


@lru_cache(4_096)
def peer_of(address: str) -> str:
    """What counts as one peer: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        # With a scope, which only addresses of this link have.
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if parsed.is_loopback:
        return str(parsed)
    return f"{IPv6Address(int(parsed) >> _NETWORK_BITS << _NETWORK_BITS)}/{_NETWORK_BITS}"


def connections_that_fit(wanted: int) -> int:
    """As many as wanted, or as this process may have open (RLIMIT_NOFILE)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, soft - RESERVED_DESCRIPTORS - TURNED_AWAY), 1)
