from __future__ import annotations

import pytest

from gateway.pb import introspection_pb2 as pb
from gateway.serve.events import wire
from gateway.serve.replica import Difference
from gateway.serve.rows import OperationRow, operation_row, worker_row
from tests.serve.builders import operation, worker
from tests.serve.events.listening import Event, Parser


def parsed(*blocks: bytes) -> Parser:
    parser = Parser()
    for block in blocks:
        for byte in block:
            parser.feed(bytes([byte]))
    return parser


def test_marker_reset_and_heartbeat_are_exactly_these_bytes() -> None:
    assert wire.snapshot("e", 7) == b'id: e-7\nevent: snapshot\ndata: {"epoch":"e","revision":7}\n\n'
    assert wire.reset(wire.TOO_SLOW) == b'id\nevent: reset\ndata: {"reason":"too_slow"}\n\n'
    assert wire.heartbeat("e", 7) == b":\nid: e-7\n\n"
    assert wire.RETRY == b"retry: 2000\n\n"


def test_scheduler_and_health_leave_the_id_as_it_is() -> None:
    parser = parsed(wire.snapshot("e", 7), wire.scheduler(8, b'{"a":1}'), wire.health(8, b'{"b":2}'))
    assert [(event.type, event.data) for event in parser.events[1:]] == [
        ("scheduler", {"revision": 8, "scheduler": {"a": 1}}),
        ("health", {"revision": 8, "health": {"b": 2}}),
    ]
    assert {event.last_event_id for event in parser.events} == {"e-7"}


def test_a_heartbeat_moves_the_id_and_is_no_event() -> None:
    parser = parsed(wire.snapshot("e", 7), wire.heartbeat("e", 9))
    assert (len(parser.events), parser.comments, parser.last_event_id) == (1, 1, "e-9")


def test_a_reset_makes_a_browser_forget_where_it_was() -> None:
    assert parsed(wire.snapshot("e", 7), wire.reset(wire.NOT_CONTINUED)).last_event_id == ""


@pytest.mark.parametrize("removed", [False, True])
def test_an_entity_is_its_row_as_it_is_with_what_names_it(removed: bool) -> None:
    of_worker, of_operation = worker_row(worker(3)), operation_row(operation(4))
    first = wire.entity("e-1", 2, of_worker, Difference(None, of_worker), removed=removed)
    second = wire.entity("e-2", 2, of_operation, Difference(None, of_operation), removed=removed)
    assert of_worker.json in first
    assert of_operation.json in second
    suffix = "_removed" if removed else ""
    assert [
        (each.type, each.data["arrival"], each.data["revision"], each.last_event_id) for each in parsed(first, second).events
    ] == [
        (f"worker{suffix}", 3, 2, "e-1"),
        (f"operation{suffix}", 4, 2, "e-2"),
    ]


def test_the_change_of_an_id_names_the_one_before() -> None:
    before, after = operation_row(operation(4)), operation_row(operation(4, pb.STAGE_EXECUTING, id_="scheduler-4"))
    nameless = operation_row(operation(4, id_=""))

    def told(of: OperationRow | None) -> Event:
        return parsed(wire.entity("e-1", 2, after, Difference(of, after), removed=False)).events[0]

    assert told(before).data["previous_operation_id"] == "op-4"
    for unchanged in (None, after, nameless):
        assert "previous_operation_id" not in told(unchanged).data


@pytest.mark.parametrize("epoch", ["e", "with-dash-5", "a b", "ä\n\r\0", "%2F", "-"])
def test_an_id_is_one_word_of_ascii_and_stands_for_its_revision(epoch: str) -> None:
    text = wire.position(epoch, 42)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert wire.parse_position(text) == (epoch, 42)


@pytest.mark.parametrize("text", ["", "e", "e-", "-5", "e-x", "e-1 ", "e 1-5", "e-" + "9" * 21, "e" * 400 + "-1", "e-٣"])
def test_what_is_no_id_of_ours_is_none(text: str) -> None:
    assert wire.parse_position(text) is None


def test_what_is_percent_encoded_and_no_utf_8_is_some_other_epoch() -> None:
    assert wire.parse_position("%ff-1") == ("�", 1)
