"""Dials upstream: an address in, a connected socket out. Names are resolved for each connection."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from typing import Any

from gateway.config.types import Address
from gateway.tap.splice import prepare


class DialError(Exception):
    """Upstream did not answer; the operating system's words."""


async def dial(address: Address, timeout_s: float) -> socket.socket:
    """Tries the name's addresses in turn, all within `timeout_s`.

    Raises:
        DialError: None of them answered.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            found = await _resolve(address)
    except TimeoutError:
        raise DialError(f"{address.host} was not resolved within {timeout_s:g} s") from None
    except OSError as error:
        raise DialError(f"{address.host}: {_words(error)}") from None
    problem = "no addresses"
    for left, (family, target) in zip(range(len(found), 0, -1), found, strict=True):
        try:
            # Each gets its share of what is left, so that one that is silent leaves time for the others.
            async with asyncio.timeout((deadline - loop.time()) / left):
                return await _connect(family, target)
        except TimeoutError:
            problem = f"{address} did not answer within {timeout_s:g} s"
        except OSError as error:
            problem = f"{address}: {_words(error)}"
    raise DialError(problem)


async def _resolve(address: Address) -> list[tuple[int, Any]]:
    """Family and sockaddr of each address."""
    try:
        literal = ipaddress.ip_address(address.host)
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        return [(family, target) for family, _, _, _, target in found]
    return [(socket.AF_INET if literal.version == 4 else socket.AF_INET6, (address.host, address.port))]


async def _connect(family: int, target: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        prepare(sock)
        await asyncio.get_running_loop().sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _words(error: OSError) -> str:
    """The system's own; an event loop puts others into its errors."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
