"""What clients said, remembered within a bound."""

from __future__ import annotations

from gateway.model.identity import ActionKey, Digest
from gateway.observe.cacheability import Cacheability

SECOND = 1_000_000_000


def key(number: int, *, cacheable: bool, instance: str = "main") -> ActionKey:
    return ActionKey(instance, Digest("sha256", f"{number:064x}", 1), cacheable)


def test_the_latest_request_decides_per_instance() -> None:
    said = Cacheability()
    said.requested(0, key(1, cacheable=False))
    said.requested(0, key(1, cacheable=True))
    assert said.resolve(0, key(1, cacheable=False)).cacheable
    assert not said.resolve(0, key(1, cacheable=False, instance="other")).cacheable


def test_over_the_limit_the_least_recently_requested_is_forgotten() -> None:
    said = Cacheability(limit=2)
    for number in (1, 2, 1, 3):
        said.requested(0, key(number, cacheable=True))
    assert said.resolve(0, key(1, cacheable=False)).cacheable
    assert not said.resolve(0, key(2, cacheable=False)).cacheable


def test_a_request_long_after_an_assignment_is_another_one() -> None:
    said = Cacheability()
    said.resolve(5 * SECOND, key(1, cacheable=False))
    assert not said.requested(6 * SECOND - 1, key(1, cacheable=True)).cacheable
    assert said.requested(6 * SECOND, key(1, cacheable=True)).cacheable


def test_assumptions_are_bounded() -> None:
    said = Cacheability(limit=1)
    said.resolve(0, key(1, cacheable=False))
    said.resolve(0, key(2, cacheable=False))
    assert said.requested(1, key(1, cacheable=True)).cacheable
    assert not said.requested(1, key(2, cacheable=True)).cacheable
