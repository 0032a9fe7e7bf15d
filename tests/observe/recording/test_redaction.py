"""Nothing that was planted comes out, and what comes out still plays to the same model up to its names."""

from __future__ import annotations

import base64
from collections import Counter
from typing import Any

import pytest

from gateway.model.scheduler import SchedulerModel
from gateway.observe.recording.payloads import METHODS
from gateway.observe.recording.redaction import DECISIONS, Redaction
from gateway.pb import tap_pb2, worker_api_pb2
from tests.observe.recording.planted import TEXT, Planter, descriptors
from tests.observe.recording.played import STREAMS, played

KEY = b"0123456789abcdef"


def test_every_text_of_every_message_has_a_decision_and_no_other() -> None:
    texts = {field.full_name for descriptor in descriptors() for field in descriptor.fields if field.type in TEXT}
    assert texts == set(DECISIONS)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_was_planted_comes_out(seed: int) -> None:
    planter, redaction = Planter(seed), Redaction(KEY)
    before = list(planter.records())
    # Random by itself, and what joins the records of a run.
    runs = {record.run_started.run for record in before}
    out = b"".join(redaction.redact(record).SerializeToString() for record in before)
    whole = b"".join(record.SerializeToString() for record in before)
    # One of two alternatives takes the place of the other.
    secrets = [secret for secret in planter.secrets if secret.encode() in whole and secret not in runs]
    assert len(secrets) > 300
    for secret in secrets:
        plain = secret.encode()
        for form in (plain, plain.upper(), base64.b64encode(plain)[:-4], plain.hex().encode()):
            assert form not in out, secret


def test_what_cannot_be_read_is_left_out_and_said_to_be() -> None:
    redaction = Redaction(KEY)
    redacted = redaction.redact(tap_pb2.TapRecord(message=tap_pb2.Message(payload=b"whatever"))).message
    assert (redacted.payload, redacted.omitted, redacted.omitted_length) == (b"", tap_pb2.Message.MALFORMED, 8)
    omitted = tap_pb2.Message(payload=b"odd", omitted=tap_pb2.Message.TOO_LARGE, omitted_length=5)
    redacted = redaction.redact(tap_pb2.TapRecord(message=omitted)).message
    assert (redacted.payload, redacted.omitted, redacted.omitted_length) == (b"", tap_pb2.Message.TOO_LARGE, 5)


def shape(model: SchedulerModel) -> Any:
    """A model without its names."""
    workers = Counter(
        (
            worker.connected_at,
            worker.last_update_at,
            worker.is_paused,
            worker.is_draining,
            worker.actions_completed,
            len(worker.running),
            worker.max_inflight_tasks,
            len(worker.properties or ()),
        )
        for worker in model.workers.values()
    )
    operations = [
        (
            operation.arrival,
            operation.stage,
            operation.priority,
            operation.load_at,
            operation.insert_at,
            operation.assigned_at,
            operation.finished_at,
            operation.attempts,
            operation.join,
            operation.cacheable,
            len(operation.clients),
            operation.key and (operation.key.digest.function, operation.key.digest.size_bytes),
            operation.outcome and (operation.outcome.status_code, operation.outcome.exit_code, operation.outcome.queued_at),
        )
        for operation in model.operations.values()
    ]
    return workers, operations, model.counts(), model.up_since, model.anomaly_counts, model.workers_refused


@pytest.mark.parametrize("stream", STREAMS, ids=range(len(STREAMS)))
def test_a_redacted_recording_plays_to_the_same_model_up_to_its_names(stream: list[tap_pb2.TapRecord]) -> None:
    redaction = Redaction(KEY)
    redacted = [redaction.redact(record) for record in stream]
    assert shape(played(redacted)) == shape(played(stream))
    assert [record.sequence for record in redacted] == [record.sequence for record in stream]


def test_one_key_gives_the_same_hashes_and_another_others() -> None:
    record = tap_pb2.TapRecord(connection_opened=tap_pb2.ConnectionOpened(listener="mine", peer="10.0.0.1:5"))
    first, again, other = (Redaction(key).redact(record) for key in (KEY, KEY, b"another key of mine"))
    assert first == again
    assert first != other
    assert first.connection_opened.peer.endswith(":5")
    assert first.connection_opened.peer != other.connection_opened.peer


@pytest.mark.parametrize(("keeps_numbers", "expected"), [(True, "8"), (False, "h")])
def test_numbers_of_properties_stay_where_that_is_wanted(keeps_numbers: bool, expected: str) -> None:
    method = next(each for each in METHODS if each.endswith("/ConnectWorker"))
    registration = worker_api_pb2.UpdateForScheduler()
    for value in ("8", "x86"):
        registration.connect_worker_request.properties.add(name="cpu", value=value)
    redaction = Redaction(KEY, keeps_numbers=keeps_numbers)
    redaction.redact(tap_pb2.TapRecord(connection=1, stream=1, stream_opened=tap_pb2.StreamOpened(method=method)))
    message = tap_pb2.Message(direction=tap_pb2.Message.TO_SERVER, payload=registration.SerializeToString())
    redacted = redaction.redact(tap_pb2.TapRecord(connection=1, stream=1, message=message))
    first, second = worker_api_pb2.UpdateForScheduler.FromString(redacted.message.payload).connect_worker_request.properties
    assert first.value.startswith(expected)
    assert first.name == second.name
    assert second.value.startswith("h")


def test_a_digest_stays_as_long_as_it_was() -> None:
    redaction = Redaction(KEY)
    for text in ("ab" * 16, "AB" * 20, "0f" * 32, "0f" * 64):
        assert len(redaction.digest_hash(text)) == len(text)
    assert redaction.digest_hash("AB" * 20) == redaction.digest_hash("ab" * 20)
    for odd in ("abc", "xyz", "0f" * 65):
        assert redaction.digest_hash(odd) == redaction.hash(odd)
    assert redaction.digest_hash("") == ""
