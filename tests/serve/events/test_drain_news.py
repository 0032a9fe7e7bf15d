"""What clients have not been told of drains."""

from __future__ import annotations

import json

import pytest

from gateway.pb import introspection_pb2 as pb
from gateway.serve.events import drain_news as module
from gateway.serve.events.drain_news import DrainNews


def drains(**states: int) -> pb.Drains:
    """The latest first; by id, how many workers are safe, and below 0: it is over."""
    made = [
        pb.Drain(id=id_, state=pb.Drain.CANCELLED if safe < 0 else pb.Drain.ACTIVE, safe=max(safe, 0))
        for id_, safe in states.items()
    ]
    return pb.Drains(drains=reversed(made))


def told(news: DrainNews, version: int, joined: int = 0) -> list[tuple[str, int]]:
    """Ids, and how many workers are safe."""
    blocks, _ = news.since(version, joined)
    found = [json.loads(block.split(b"data: ")[1])["drain"] for block in blocks]
    return [(drain["id"], drain["counts"]["safe"]) for drain in found]


def test_what_changed_is_told_once_in_the_order_of_the_changes() -> None:
    news = DrainNews()
    assert news.look(1, drains(a=0, b=0, c=-1))
    before = news.version
    assert told(news, 0) == [("a", 0), ("b", 0), ("c", 0)]
    assert news.look(2, drains(a=0, b=1, c=-1))
    assert news.look(3, drains(a=2, b=1, c=-1))
    assert told(news, before) == [("b", 1), ("a", 2)]
    assert not news.look(4, drains(a=2, b=1, c=-1))
    assert told(news, news.version) == []


def test_who_comes_is_told_what_is_active_and_then_every_change() -> None:
    news = DrainNews()
    news.look(1, drains(a=0, over=-1))
    joined = news.version
    assert told(news, 0, joined) == [("a", 0)]
    _, version = news.since(0, joined)
    news.look(2, drains(a=-1, over=-1))
    assert told(news, version, joined) == [("a", 0)]


def test_what_is_forgotten_is_told_no_more() -> None:
    news = DrainNews()
    news.look(1, drains(a=0, b=0))
    news.look(2, drains(b=0))
    assert told(news, 0) == [("b", 0)]
    assert not news.look(3, None)
    assert told(news, 0) == []


def test_a_client_that_has_much_to_hear_hears_it_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 2)
    news = DrainNews()
    news.look(1, drains(a=0, b=0, c=0))
    first, version = news.since(0, news.version)
    second, last = news.since(version, news.version)
    assert (len(first), len(second), last) == (2, 1, news.version)
