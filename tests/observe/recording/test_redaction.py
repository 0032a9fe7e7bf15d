"""Nothing that was planted comes out, and what comes out still plays to the same model up to its names."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.types import Config, PropertyType, Scheduler
from gateway.model.scheduler import SchedulerModel
from gateway.model.story import lines
from gateway.observe.recording.payloads import METHODS
from gateway.observe.recording.redaction import DECISIONS, Redaction
from gateway.pb import longrunning_pb2, tap_pb2, worker_api_pb2
from tests.observe.recording.planted import TEXT, Planter, descriptors
from tests.observe.recording.played import STREAMS, moments
from tests.observe.recording.renaming import Renaming
from tests.observe.records import config

KEY = b"0123456789abcdef"


def test_every_text_of_every_message_has_a_decision_and_no_other() -> None:
    texts = {field.full_name for descriptor in descriptors() for field in descriptor.fields if field.type in TEXT}
    assert texts == set(DECISIONS)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_was_planted_comes_out(seed: int) -> None:
    planter, redaction = Planter(seed), Redaction(KEY)
    before = list(planter.records())
    out = b"".join(redaction.redact(record).SerializeToString() for record in before)
    whole = b"".join(record.SerializeToString() for record in before)
    # One of two alternatives takes the place of the other.
    secrets = [secret for secret in planter.secrets if secret.encode() in whole]
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


@pytest.mark.parametrize("keeps_numbers", [False, True], ids=["hashed", "numbers kept"])
@pytest.mark.parametrize("stream", STREAMS, ids=range(len(STREAMS)))
def test_a_redacted_recording_plays_to_the_same_model_up_to_its_names(stream: list[tap_pb2.TapRecord], keeps_numbers: bool) -> None:
    redaction = Redaction(KEY, keeps_numbers=keeps_numbers)
    redacted = [redaction.redact(record) for record in stream]
    assert [record.sequence for record in redacted] == [record.sequence for record in stream]
    minimum = ["cpu_count", "memory_kb"] if keeps_numbers else []
    before = moments(stream, _settings(minimum))
    after = moments(redacted, _settings(redaction.hash(name) for name in minimum))
    renaming = Renaming()
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        for name in ("workers", "operations"):
            renaming.check(getattr(old, name), getattr(new, name), f"{number}: {name}")
        renaming.check(_rest(old), _rest(new), f"{number}")
        for worker, redacted_worker in zip(old.workers.values(), new.workers.values(), strict=True):
            renaming.check(old.remaining_properties(worker), new.remaining_properties(redacted_worker))
    kept = {text for text, stands_for_it in renaming.new.items() if text == stands_for_it}
    assert kept <= {"sha256", "execution", "workers"}
    assert len(renaming.new) > len(kept) + 10


def _settings(minimum: Iterable[str]) -> Config:
    return config(scheduler=Scheduler(supported_platform_properties=dict.fromkeys(minimum, PropertyType.MINIMUM)))


def _rest(model: SchedulerModel) -> tuple[object, ...]:
    told = [*(each.story for each in model.workers.values()), *(each.story for each in model.operations.values())]
    stories = [[at for at, _ in lines(story)] for story in told]
    return model.counts(), model.up_since, dict(model.anomaly_counts), model.workers_refused, model.is_partial, stories


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
    for text in ("ab" * 16, "AB" * 20, "0f" * 32, "0f" * 64, "no hexadecimal text at all, and 64 characters long, all the same"):
        assert len(redaction.digest_hash(text)) == len(text)
    assert redaction.digest_hash("AB" * 20) == redaction.digest_hash("ab" * 20)
    for odd in ("ab", "abc", "xyz", "0f" * 65, "0" * 63):
        assert redaction.digest_hash(odd) == redaction.hash(odd)
    assert redaction.digest_hash("") == ""


def test_digests_that_are_too_short_for_it_stay_different_all_the_same() -> None:
    redaction = Redaction(KEY)
    assert len({redaction.digest_hash(f"{number:04x}") for number in range(1 << 16)}) == 1 << 16


def redacted_request(request: str, redaction: Redaction | None = None) -> str:
    record = tap_pb2.TapRecord(admin_call=tap_pb2.AdminCall(request=request, status=200))
    return (redaction or Redaction(KEY)).redact(record).admin_call.request


def test_admin_calls_name_the_same_workers_and_schedulers() -> None:
    redaction = Redaction(KEY)
    worker = redaction.hash("linux 1")
    request = redacted_request("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/linux%201/1", redaction)
    assert request == f"POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/{worker}/1"
    assert redacted_request("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/linux%201/1?by=me", redaction) == request
    assert redaction.schedulers == {}
    request = redacted_request("POST /my/own/scheduler/OURS/set_drain_worker/admin/0", redaction)
    name = redaction.hash("OURS")
    assert request == f"POST /{redaction.hash('/my/own')}/scheduler/{name}/set_drain_worker/{redaction.hash('admin')}/0"
    assert redaction.schedulers == {"OURS": name}
    assert redacted_request("POST /scheduler/a b/set_drain_worker/x/1").count("/") == 1, "what was no such call is none afterwards"
    assert redacted_request("") == ""
    listener = tap_pb2.Listener(name="mine", scheduler="OURS", carries=["admin", "else"])
    record = tap_pb2.TapRecord(run_started=tap_pb2.RunStarted(run="0123456789abcdef" * 2, listeners=[listener]))
    started = redaction.redact(record).run_started
    assert (started.run, started.listeners[0].scheduler) == ("0123456789abcdef" * 2, name)
    assert list(started.listeners[0].carries) == ["admin", redaction.hash("else")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("10.1.2.3:50051: Connection refused", "{}:50051: Connection refused"),
        ("10.1.2.3: Name or service not known", "{}: Name or service not known"),
        ("10.1.2.3:1 did not answer within 10 s", "{}:1 did not answer within 10 s"),
        ("[::1]:1: no TLS handshake within 10 s", None),
        ("no HTTP/2 preface", "no HTTP/2 preface"),
        ("a frame of 70000 bytes where 16384 are allowed", "a frame of 70000 bytes where 16384 are allowed"),
        ("a frame of type 7 with 9 bytes on stream 0", "a frame of type 7 with 9 bytes on stream 0"),
        ("more than 67108864 bytes wait to be decoded", None),
    ],
)
def test_why_something_failed_stays_readable_without_addresses(reason: str, expected: str | None) -> None:
    redaction = Redaction(KEY)
    for record in (
        tap_pb2.TapRecord(upstream_refused=tap_pb2.UpstreamRefused(reason=reason)),
        tap_pb2.TapRecord(blinded=tap_pb2.Blinded(detail=reason)),
    ):
        redacted = redaction.redact(record)
        said = redacted.upstream_refused.reason or redacted.blinded.detail
        assert "10.1.2.3" not in said
        assert "::" not in said
        if expected is not None:
            assert said == expected.format(redaction.hash("10.1.2.3"))


WORDS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)


@given(first=WORDS, second=WORDS)
def test_equal_texts_stay_equal_and_different_ones_different(first: str, second: str) -> None:
    redaction = Redaction(KEY)

    def redacted(instance: str, operation: str) -> tuple[str, str, str]:
        known = worker_api_pb2.ExecuteResult(instance_name=instance, operation_id=operation)
        redaction._walk(known)
        name = longrunning_pb2.Operation(name=f"{instance}/{operation}")
        redaction._walk(name)
        return known.instance_name, known.operation_id, name.name

    operations = first.replace("/", "|"), second.replace("/", "|")
    for operation in operations:
        instance, operation_id, name = redacted(first, operation)
        assert name == f"{instance}/{operation_id}"
    assert (redacted("", operations[0]) == redacted("", operations[1])) == (operations[0] == operations[1])


PLANTER = Planter(11)
PLANTED = list(PLANTER.records())
MESSAGES = [record for record in PLANTED if record.message.payload]


@given(st.data())
def test_no_bytes_make_it_fail_and_a_secret_in_them_does_not_come_out(data: st.DataObject) -> None:
    """Damaged payloads of every class, unknown fields wherever they fall."""
    redaction = Redaction(KEY)
    for record in PLANTED:
        redaction._methods.follow(record)
    damaged = tap_pb2.TapRecord()
    damaged.CopyFrom(data.draw(st.sampled_from(MESSAGES)))
    payload = bytearray(damaged.message.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    damaged.message.payload = bytes(payload)
    out = redaction.redact(damaged).SerializeToString()
    assert not any(secret.encode() in out for secret in PLANTER.secrets)
