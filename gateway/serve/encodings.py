"""Encodings: an Accept-Encoding header and a body come in, the coding to use and the body in it go out (RFC 9110, 8.4 and 12.5.3).

A body is compressed when somebody first asks for it so, off the loop where it is large, and kept beside the plain one.
"""

from __future__ import annotations

import asyncio
import gzip
from functools import lru_cache

import zstandard

from gateway.serve.bodies import Bodies, ListBody

IDENTITY = "identity"
#: The codings offered, best first where a client likes several equally.
CODINGS = ("zstd", "gzip")
#: A shorter body is one packet anyway.
LEAST_BYTES = 1_024
#: A longer one is compressed in a thread: this much takes about two milliseconds.
_LOOP_BYTES = 128 * 1024
#: zstd's own default; gzip's fastest that still finds what repeats in JSON of equal objects.
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 4
_REMEMBERED = 256


@lru_cache(_REMEMBERED)
def choose(accepted: str) -> str:
    """The coding for a client that sent this Accept-Encoding; "": it sent none. What cannot be read asks for nothing."""
    liked = weights(accepted)
    others = liked.get("*", 0.0)
    best, best_weight = IDENTITY, 0.0
    for coding in CODINGS:
        # `*` comes from programs that do not know what there is to know: of those, many cannot read zstd.
        weight = liked.get(coding, liked.get("x-gzip", others) if coding == "gzip" else 0.0)
        if weight > best_weight:
            best, best_weight = coding, weight
    # Whoever says that the plain body is liked better gets it; whoever says nothing of it does not mind.
    return best if best_weight >= liked.get(IDENTITY, 0.0) else IDENTITY


def weights(accepted: str) -> dict[str, float]:
    """What an Accept or Accept-Encoding names, in lower case, and how much it is liked; of a repeated name the most."""
    found: dict[str, float] = {}
    for item in accepted.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name:
            found[name] = max(_weight(parameters), found.get(name, 0.0))
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0


def compress(coding: str, data: bytes) -> bytes:
    """The data in one of CODINGS; the same data always gives the same bytes."""
    if coding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
    return gzip.compress(data, _GZIP_LEVEL, mtime=0)


def already(body: ListBody, coding: str) -> bytes | None:
    """The body in this coding, or as it is where it is short; None: it has to be made."""
    return body.json if coding == IDENTITY or len(body.json) < LEAST_BYTES else body.twins.get(coding)


class Twins:
    """Compressed bodies beside plain ones, each made once however many ask for it at the same time."""

    def __init__(self) -> None:
        #: Being made: (id of the plain bytes, coding) -> its bytes.
        self._making: dict[tuple[int, str], asyncio.Task[bytes]] = {}

    async def get(self, body: ListBody, coding: str, bodies: Bodies) -> bytes:
        """The body in this coding; `bodies`, where it is kept, counts it."""
        twin = already(body, coding)
        if twin is not None:
            return twin
        if len(body.json) <= _LOOP_BYTES:
            twin = compress(coding, body.json)
        else:
            key = (id(body), coding)
            task = self._making.get(key)
            if task is None:
                work = asyncio.to_thread(compress, coding, body.json)
                task = self._making[key] = asyncio.create_task(work, name=f"compress {coding}")
                task.add_done_callback(lambda _: self._making.pop(key))
            # One who asks and goes must not take it away from the others.
            twin = await asyncio.shield(task)
        if coding not in body.twins:
            body.twins[coding] = twin
            bodies.grown(body, len(twin))
        return twin
