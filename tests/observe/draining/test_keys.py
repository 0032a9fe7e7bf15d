"""Idempotency keys."""

from __future__ import annotations

import pytest

from gateway.observe.draining import keys as module
from gateway.observe.draining.keys import KEPT_NS, Keys, Use
from gateway.observe.introspection.errors import BusyError, KeyReusedError


def test_a_key_is_one_request_of_one_caller_for_a_day() -> None:
    keys, use = Keys(), Use("me", "k", "drain w", "d-1", 100)
    assert keys.find("me", "k", "drain w", 100) is None
    keys.remember(use)
    assert keys.find("me", "k", "drain w", 100 + KEPT_NS) is use
    assert keys.find("you", "k", "drain w", 100) is None
    with pytest.raises(KeyReusedError, match="used for another request"):
        keys.find("me", "k", "drain v", 100)
    assert keys.find("me", "k", "drain v", 101 + KEPT_NS) is None
    keys.forget(101 + KEPT_NS)
    assert list(keys) == []


def test_while_a_request_is_under_way_the_same_has_to_wait() -> None:
    keys = Keys()
    with keys.used("me", "k"), pytest.raises(BusyError, match="under way"):
        keys.find("me", "k", "drain w", 0)
    assert keys.find("me", "k", "drain w", 0) is None


def test_requests_without_a_key_are_never_the_same() -> None:
    keys = Keys()
    keys.remember(Use("me", "", "drain w", "d-1", 0))
    with keys.used("me", ""):
        assert keys.find("me", "", "drain w", 0) is None
    assert list(keys) == []


def test_at_the_bound_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEYS_MAX", 2)
    keys = Keys()
    for number in range(3):
        keys.remember(Use("me", str(number), "drain w", "d-1", number))
    assert [use.key for use in keys] == ["1", "2"]
