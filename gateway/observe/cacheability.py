"""What clients said about actions, for schedulers that tell their workers something else.

Both halves of an operation must get the same `ActionKey`, and part of it is whether the action is cacheable. Releases before
0.7.4 set `skip_cache_lookup` in every StartExecute (nativelink-facts 2), so there the worker's half says nothing about it and the
clients' is asked: the latest Execute for the same instance and digest decides.

A client's request reaches the tap before the scheduler can act on it, so with the clients' port tapped the answer is nearly
always there. Where it is not, the StartExecute is taken at its word: not cacheable, which joins it with nothing that it does not
belong to. Should the request turn up within `_LATE_NS` after all (records of different taps come in no certain order), it gets
the key that the worker's half has, as a true key that joins nothing would be worse. Two *queued* operations of one digest, one
cacheable and one not, cannot be told apart on such a release: the later request's kind is taken for both.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.model.identity import ActionKey, Digest

#: Digests remembered. Over it the least recently requested is forgotten, and its StartExecute taken at its word.
_LIMIT = 20_000
#: A request that comes this long after its StartExecute is another one.
_LATE_NS = 1_000_000_000


class Cacheability:
    """Latest word of a client per instance and digest. One for all taps: clients and workers may come by different ones."""

    __slots__ = ("_assumed", "_limit", "_said")

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._said: OrderedDict[tuple[str, Digest], bool] = OrderedDict()
        #: Keys of StartExecutes that had to be taken at their word, and when (Unix nanoseconds).
        self._assumed: OrderedDict[ActionKey, int] = OrderedDict()

    def requested(self, at: int, key: ActionKey) -> ActionKey:
        """A client asked for this; returns the key that its half gets."""
        if self._assumed:
            other = key._replace(cacheable=not key.cacheable)
            if at - self._assumed.get(other, at - _LATE_NS) < _LATE_NS:
                return other
        said = self._said
        named = key[:2]
        said[named] = key.cacheable
        said.move_to_end(named)
        if len(said) > self._limit:
            said.popitem(last=False)
        return key

    def resolve(self, at: int, key: ActionKey) -> ActionKey:
        """The key that a StartExecute gets whose own word on it means nothing."""
        said = self._said.get(key[:2])
        if said is not None:
            return key._replace(cacheable=said)
        self._assumed[key] = at
        self._assumed.move_to_end(key)
        if len(self._assumed) > self._limit:
            self._assumed.popitem(last=False)
        return key
