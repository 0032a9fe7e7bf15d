"""Bodies: encoded rows come in, the bytes of a JSON list go out, kept as long as they are true."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

#: Bytes of all kept bodies together; over it, those that were asked for longest ago go.
KEPT_BYTES = 64 * 1024 * 1024
#: Queries at most: empty bodies have entries too, and cursors make any number of queries.
_KEPT_ENTRIES = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class ListBody:
    """The answer to a list query."""

    #: A JSON array.
    json: bytes
    #: Rows after filtering, before the limit.
    total: int
    #: `""`: no page comes after this.
    next_token: str
    #: The same in other codings, as far as somebody asked for them: {content coding: bytes}
    twins: dict[str, bytes] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """In all codings together."""
        return len(self.json) + sum(map(len, self.twins.values()))


def json_list(elements: Iterable[bytes]) -> bytes:
    """A JSON array of encoded elements.

    One join with the brackets folded into the outer elements: `b"[" + joined + b"]"` copies the whole body twice more.
    """
    parts = list(elements)
    if not parts:
        return b"[]"
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    return b",".join(parts)


class Bodies:
    """Bodies by query; each is true for one revision of what it was made from."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        #: {query: (revision, body)}, asked for longest ago first
        self._bodies: OrderedDict[Hashable, tuple[Hashable, ListBody]] = OrderedDict()
        #: Which objects they are.
        self._kept: set[int] = set()
        #: Of all of `_bodies` together.
        self.size_bytes = 0

    def get(self, query: Hashable, revision: Hashable) -> ListBody | None:
        """The body of this query, if one of this revision is kept."""
        kept = self._bodies.get(query)
        if kept is None or kept[0] != revision:
            return None
        self._bodies.move_to_end(query)
        return kept[1]

    def put(self, query: Hashable, revision: Hashable, body: ListBody) -> None:
        """Keep a body instead of the one of an older revision; one that is larger than the bound is not kept."""
        before = self._bodies.pop(query, None)
        if before is not None:
            self._forget(before[1])
        if body.size_bytes > self._kept_bytes:
            return
        self._bodies[query] = (revision, body)
        self._kept.add(id(body))
        self.size_bytes += body.size_bytes
        self._shrink()

    def grown(self, body: ListBody, by: int) -> None:
        """A body got a twin of so many bytes; nothing if it is not kept any more."""
        if id(body) in self._kept:
            self.size_bytes += by
            self._shrink()

    def _shrink(self) -> None:
        while self.size_bytes > self._kept_bytes or len(self._bodies) > _KEPT_ENTRIES:
            _, (_, gone) = self._bodies.popitem(last=False)
            self._forget(gone)

    def _forget(self, body: ListBody) -> None:
        self._kept.remove(id(body))
        self.size_bytes -= body.size_bytes
