"""Mutated bytes of real peers against everything that reads bytes: nothing raises but what says that it may, nothing is kept.

Each test runs some thousand inputs by default. The tests marked `long` go on for `--long-budget` seconds each and print how many
inputs that were; a failing input is named by its seed.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError
from hpack import Decoder, HPACKError

from gateway.config.types import TapLimits
from gateway.model.scheduler import SchedulerModel
from gateway.observe.observer import model_settings
from gateway.observe.translate import Translator
from gateway.observe.wire import FramingError, Splitter
from gateway.pb import tap_pb2
from gateway.tap import redact
from gateway.tap.grpc import MessageReader
from gateway.tap.headers import WANTED, HeaderDecoder, HeaderError
from gateway.tap.http1 import Http1, NotHttpError
from gateway.tap.inflate import InflateError, TooLargeError, UnknownEncodingError, inflate
from gateway.tap.records import TO_CLIENT, TO_SERVER
from gateway.tap.requests import RequestFrames, read_acknowledgement, read_request
from gateway.tap.wire import MalformedError
from tests.fuzz import corpus
from tests.fuzz.mutation import mutated, recut
from tests.observe.records import config
from tests.tap.reading import Wire

_LIMITS = TapLimits(message_bytes=64 * 1024, undecoded_bytes=1024 * 1024)
_HTTP1 = (
    b"POST /admin/scheduler/MAIN/set_drain_worker/w-1/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\ntrailer: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
)


def connection(chance: random.Random) -> None:
    """A connection's decoder: no defect, one blinding at most, and nothing kept of it in the end."""
    said = chance.choice(corpus.conversations())
    wire = Wire(_LIMITS, http2=False)
    damage_client = chance.random() < 0.5
    for is_client, data in said:
        damaged = mutated(chance, data) if is_client == damage_client and chance.random() < 0.5 else data
        for piece in recut(chance, damaged):
            (wire.client if is_client else wire.server)(piece)
    wire.decoder.eof(wire.now, TO_SERVER if damage_client else TO_CLIENT)
    wire.decoder.closed(wire.now, 1, reset=False)
    records = wire.take()
    blinded = [record.blinded for record in records if record.HasField("blinded")]
    assert len(blinded) <= 1
    assert all(each.reason != tap_pb2.Blinded.INTERNAL for each in blinded), blinded
    opened = sum(record.HasField("stream_opened") for record in records)
    assert opened == sum(record.HasField("stream_closed") for record in records)
    wire.journal.tick(wire.now)
    assert wire.take()[-1].tick.undecoded_bytes == 0


def header_blocks(chance: random.Random) -> None:
    """HPACK against another implementation: equal values and tables as long as both read on."""
    reference, decoder = Decoder(max_header_list_size=2**40), HeaderDecoder()
    for _ in range(6):
        block = chance.choice(corpus.header_blocks())
        if chance.random() < 0.6:
            block = mutated(chance, block, 2)
        try:
            expected = dict(reference.decode(block, raw=True))
        except HPACKError:
            # Ours steps over values that nobody wants, and does not look whether they are right.
            with contextlib.suppress(HeaderError):
                decoder.decode(block)
            return
        try:
            found = decoder.decode(block)
        except HeaderError:
            # Numbers and tables beyond what peers of these services use.
            return
        assert found == {name: value for name, value in expected.items() if name in WANTED}
        assert decoder.table == tuple(reference.header_table.dynamic_entries)


def messages(chance: random.Random) -> None:
    """Taking out what must not leave: a message that cannot be walked is said to be so."""
    message = mutated(chance, chance.choice(corpus.messages()))
    for plan in (redact.OPERATION, redact.UPDATE_FOR_SCHEDULER, redact.EXECUTE_RESULT):
        with contextlib.suppress(MalformedError):
            assert len(redact.redact(message, plan)) <= len(message) + 16


def grpc_framing(chance: random.Random) -> None:
    """Length-prefixed messages, whole and in pieces, compressed and not."""
    reader = MessageReader(_LIMITS.message_bytes)
    message = chance.choice(corpus.messages())[:2_000]
    framed = b"".join(bytes((chance.randrange(3),)) + len(message).to_bytes(4, "big") + message for _ in range(3))
    data = mutated(chance, framed)
    sizes = 0
    for piece in recut(chance, data):
        for each in reader.feed(piece, 0, len(piece)):
            sizes += each.length if each.payload is not None else 0
            if each.payload is not None:
                with contextlib.suppress(InflateError, TooLargeError, UnknownEncodingError):
                    inflate(chance.choice((b"gzip", b"deflate", b"zstd", b"identity", b"?")), each.payload, _LIMITS.message_bytes)
        assert reader.held <= _LIMITS.message_bytes
    assert sizes <= len(data)


def http1(chance: random.Random) -> None:
    """Admin calls and what else is HTTP/1."""
    both = Http1()
    try:
        for _ in range(3):
            for piece in recut(chance, mutated(chance, chance.choice(_HTTP1))):
                both.to_server(piece)
            for piece in recut(chance, mutated(chance, chance.choice(_HTTP1))):
                both.to_client(piece)
    except NotHttpError:
        pass


def records(chance: random.Random) -> None:
    """The observer: framing, records, events, model. Whatever it is told, its indexes agree with each other."""
    stream = chance.choice(corpus.record_streams())
    begin = chance.randrange(len(stream))
    part = stream[begin : begin + chance.randint(1, 60)]
    data = b"".join((stream[0], *part)) if chance.random() < 0.7 else b"".join(part)
    if chance.random() < 0.9:
        data = stream[0] + mutated(chance, data[len(stream[0]) :], 8)
    settings = config()
    splitter, translator, model = Splitter(2**20), Translator(settings), SchedulerModel(model_settings(settings))
    try:
        for piece in recut(chance, data):
            for message in splitter.feed(piece):
                try:
                    record = tap_pb2.TapRecord.FromString(bytes(message))
                except DecodeError:
                    continue
                for event in translator.translate(record):
                    model.apply(event)
                model.advance(translator.now)
    except FramingError:
        pass
    model.validate()


def read_requests(chance: random.Random) -> None:
    """What a reader of the record link says."""
    request = tap_pb2.ReadRequest(run="0123456789abcdef", next_sequence=chance.randrange(2**63)).SerializeToString()
    acknowledgement = tap_pb2.Acknowledgement(sequence=chance.randrange(2**63)).SerializeToString()
    said = bytes((len(request),)) + request + bytes((len(acknowledgement),)) + acknowledgement
    with contextlib.suppress(MalformedError):
        for number, message in enumerate(RequestFrames().feed(mutated(chance, said))):
            if number:
                read_acknowledgement(message)
            else:
                read_request(message)


#: Target -> inputs of a default run.
TARGETS: dict[Callable[[random.Random], None], int] = {
    connection: 2_000,
    header_blocks: 8_000,
    messages: 10_000,
    grpc_framing: 5_000,
    http1: 10_000,
    records: 1_500,
    read_requests: 10_000,
}


def _run(target: Callable[[random.Random], None], seed: int) -> None:
    try:
        target(random.Random(seed))
    except Exception as error:
        error.add_note(f"{target.__name__}, seed {seed}")
        raise


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_mutated_bytes_are_read_or_refused(target: Callable[[random.Random], None]) -> None:
    for seed in range(TARGETS[target]):
        _run(target, seed)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_many_mutated_bytes_are_read_or_refused(
    target: Callable[[random.Random], None], long_budget_s: float, record_property: Callable[[str, object], None]
) -> None:
    ends = time.monotonic() + long_budget_s
    seed = TARGETS[target]
    while time.monotonic() < ends:
        _run(target, seed)
        seed += 1
    record_property("inputs", seed - TARGETS[target])
    print(f"{target.__name__}: {seed - TARGETS[target]} inputs")  # noqa: T201 # for whoever runs it by hand, with -s
