"""Where the admin service is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.config.trust import DialTls, ListenerTls
from gateway.config.types import Address, Admin, Carries, RecordLink
from gateway.observe.draining.endpoint import Endpoint, find
from gateway.observe.introspection.errors import NotOfferedError, UnreachableError
from gateway.observe.taps import ListenerState
from tests.observe.records import config

_BOUND = [
    ListenerState("execution", "127.0.0.1:40001", "nativelink:50051", ("execution",)),
    ListenerState("workers", "0.0.0.0:40002", "nativelink:50061", ("worker_api", "admin")),
]


def test_it_is_the_tap_that_carries_admin_where_it_is_bound() -> None:
    assert find(config(), _BOUND) == Endpoint(Address("127.0.0.1", 40002), is_tapped=True)
    with pytest.raises(UnreachableError, match="Tap 'workers', which carries admin, is not attached"):
        find(config(), [])


def test_it_is_what_the_configuration_says_and_a_tap_reads_that_only_if_it_is_one() -> None:
    assert find(config(admin=Admin(Address("nativelink", 50061))), _BOUND) == Endpoint(
        Address("nativelink", 50061), is_tapped=False
    )
    assert find(config(admin=Admin(Address("127.0.0.1", 40002))), _BOUND).is_tapped


def test_where_nothing_says_it_the_text_says_what_to_do() -> None:
    taps = config().taps
    without = config(taps=(taps[0], dataclasses.replace(taps[1], carries=frozenset({Carries.WORKER_API}))))
    others = config(taps=(taps[0], dataclasses.replace(taps[1], scheduler="OTHER")))
    elsewhere = config(record_link=RecordLink(local=False))
    for each in (without, others, elsewhere):
        with pytest.raises(NotOfferedError, match=r"set gateway\.admin\.endpoint to HOST:PORT"):
            find(each, _BOUND)


def test_a_tap_with_tls_is_called_only_with_tls() -> None:
    taps = config().taps
    encrypted = (taps[0], dataclasses.replace(taps[1], tls=ListenerTls(Path("cert"), Path("key"))))
    with pytest.raises(NotOfferedError, match=r"set gateway\.admin\.tls"):
        find(config(taps=encrypted), _BOUND)
    assert find(config(taps=encrypted, admin=Admin(tls=DialTls())), _BOUND).is_tapped
