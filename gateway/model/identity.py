"""What the wire names things by: digests, action keys, streams.

Everything here is an immutable value; equality is by content.
"""

from __future__ import annotations

from typing import NamedTuple

#: Hash lengths in hexadecimal digits of the functions that can be told by it (REAPI: absent digest_function).
_FUNCTION_BY_HASH_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}


def function_by_hash_length(hash_: str) -> str:
    """The digest function meant by a request that names none (nativelink-facts 7); `""` where the length says nothing."""
    return _FUNCTION_BY_HASH_LENGTH.get(len(hash_), "")


class Digest(NamedTuple):
    """A REAPI digest with its function."""

    #: Lower-case name such as `sha256`; `""` if it cannot be told.
    function: str
    #: Lower-case hexadecimal.
    hash: str
    size_bytes: int

    def __str__(self) -> str:
        """As the documented JSON shows it: `sha256:HASH`, the hash alone where the function cannot be told."""
        return f"{self.function}:{self.hash}" if self.function else self.hash


class ActionKey(NamedTuple):
    """What client side and worker side of one operation have in common (design 5)."""

    instance_name: str
    digest: Digest
    #: `not skip_cache_lookup`: the scheduler joins equal cacheable actions while one is in flight.
    cacheable: bool


class ConnectionId(NamedTuple):
    """A TCP connection through a tap."""

    #: RunStarted.run of the tap.
    run: str
    connection: int


class StreamId(NamedTuple):
    """An HTTP/2 stream through a tap."""

    #: RunStarted.run of the tap.
    run: str
    connection: int
    stream: int

    @property
    def connection_id(self) -> ConnectionId:
        """The connection that carries the stream."""
        return ConnectionId(self.run, self.connection)


#: Name and value in the order of the wire; a name may repeat (the scheduler keeps the last).
Properties = tuple[tuple[str, str], ...]
