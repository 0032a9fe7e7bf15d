from __future__ import annotations

from gateway.observe.recording.payloads import METHODS, Methods, message_class
from gateway.pb import tap_pb2, worker_api_pb2
from gateway.tap import calls
from tests.observe.recording.played import STREAMS


def test_the_methods_are_those_that_the_tap_reads() -> None:
    assert set(METHODS) == {method.path for method in calls.METHODS.values()}


def test_every_payload_of_the_recordings_is_of_its_class() -> None:
    seen = 0
    for stream in STREAMS:
        methods = Methods()
        for record in stream:
            method = methods.follow(record)
            if record.HasField("message"):
                found = message_class(method, record.message.direction, record.message.payload)
                assert found is not None
                message = found.FromString(record.message.payload)
                assert message.ByteSize() or not record.message.payload
                seen += 1
    assert seen > 100


def test_a_registration_of_an_old_release_is_told_from_a_new_one() -> None:
    method = next(each for each in METHODS if each.endswith("/ConnectWorker"))
    bare = worker_api_pb2.ConnectWorkerRequest(worker_id_prefix="w")
    bare.properties.add(name="cpu", value="1")
    wrapped = worker_api_pb2.UpdateForScheduler(connect_worker_request=bare)
    for message in (bare, wrapped):
        assert message_class(method, tap_pb2.Message.TO_SERVER, message.SerializeToString()) is type(message)


def test_what_is_not_known_has_no_class() -> None:
    assert message_class("/other", tap_pb2.Message.TO_SERVER, b"") is None
    assert message_class(next(iter(METHODS)), tap_pb2.Message.DIRECTION_UNSPECIFIED, b"") is None


def test_streams_are_forgotten_with_their_connection_and_restored_by_a_state() -> None:
    methods = Methods()
    opened = tap_pb2.TapRecord(connection=1, stream=3, stream_opened=tap_pb2.StreamOpened(method="/m"))
    message = tap_pb2.TapRecord(connection=1, stream=3, message=tap_pb2.Message())
    assert methods.follow(opened) == methods.follow(message) == "/m"
    assert methods.follow(tap_pb2.TapRecord(connection=1, stream=3, stream_closed=tap_pb2.StreamClosed())) == "/m"
    assert methods.follow(message) == ""
    methods.follow(opened)
    methods.follow(tap_pb2.TapRecord(connection=1, connection_closed=tap_pb2.ConnectionClosed()))
    assert methods.follow(message) == ""
    state = tap_pb2.OpenStream(stream_opened=tap_pb2.StreamOpened(method="/n"))
    methods.follow(opened)
    methods.follow(tap_pb2.TapRecord(state_begin=tap_pb2.StateBegin()))
    assert methods.follow(message) == ""
    assert methods.follow(tap_pb2.TapRecord(connection=1, stream=3, open_stream=state)) == methods.follow(message) == "/n"
