"""What the tap reads: HTTP/2, HPACK, gRPC, compression, what is taken out of messages, HTTP/1, what readers of the link say.

Where there is another implementation, it is the judge: `hpack`, zlib and zstandard, protobuf; or the same one with other cuts.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Iterator, Sequence

import zstandard
from google.protobuf.message import DecodeError
from hpack import Decoder, HPACKError

from gateway.config.types import TapLimits
from gateway.pb import longrunning_pb2, tap_pb2, worker_api_pb2
from gateway.pb import remote_execution_pb2 as reapi
from gateway.tap.grpc import MessageReader
from gateway.tap.headers import WANTED, HeaderDecoder, HeaderError
from gateway.tap.http1 import Answered, Http1, NotHttpError, Upgraded
from gateway.tap.inflate import MAX_RATIO, InflateError, inflate
from gateway.tap.records import TO_CLIENT, TO_SERVER
from gateway.tap.redact import EXECUTE_RESULT, OPERATION, UPDATE_FOR_SCHEDULER, TooManyFieldsError, redact
from gateway.tap.requests import RequestFrames, read_acknowledgement, read_request
from gateway.tap.wire import MalformedError
from tests.fuzz import corpus
from tests.fuzz.corpus import Conversation
from tests.fuzz.mutation import mutated, recut
from tests.fuzz.target import Target
from tests.tap.reading import Wire

_LIMITS = TapLimits(message_bytes=64 * 1024, undecoded_bytes=1024 * 1024)


def changed_bytes(chance: random.Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """For targets whose input is just bytes."""
    return mutated(chance, data)


def _changed_said(chance: random.Random, said: Conversation, others: Sequence[Conversation]) -> Conversation:
    found = list(said)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(found))
        match chance.randrange(8):
            case 0 if len(found) > 1:
                del found[at]
            case 1:
                found.insert(at, chance.choice(found))
            case 2:
                found.insert(at, chance.choice(chance.choice(others)))
            case _:
                is_client, data = found[at]
                found[at] = is_client, mutated(chance, data)
    return tuple(found[:40])


def connection(chance: random.Random, said: Conversation) -> None:
    """A connection's decoder: no defect, one blinding at most, and nothing kept of it in the end."""
    wire = Wire(_LIMITS, http2=False)
    for is_client, data in said:
        for piece in recut(chance, data):
            (wire.client if is_client else wire.server)(piece)
    wire.decoder.eof(wire.now, chance.choice((TO_SERVER, TO_CLIENT)))
    wire.decoder.closed(wire.now, 1, reset=False)
    records = wire.take()
    blinded = [record.blinded for record in records if record.HasField("blinded")]
    assert len(blinded) <= 1
    assert all(each.reason != tap_pb2.Blinded.INTERNAL for each in blinded), blinded
    opened = sum(record.HasField("stream_opened") for record in records)
    assert opened == sum(record.HasField("stream_closed") for record in records)
    wire.journal.tick(wire.now)
    assert wire.take()[-1].tick.undecoded_bytes == 0


Blocks = tuple[bytes, ...]


def _blocks() -> Sequence[Blocks]:
    blocks = corpus.header_blocks()
    return [blocks[at : at + 6] for at in range(0, len(blocks), 3)]


def _changed_blocks(chance: random.Random, blocks: Blocks, others: Sequence[Blocks]) -> Blocks:
    found = list(blocks)
    if chance.random() < 0.2:
        found.insert(chance.randrange(len(found)), chance.choice(chance.choice(others)))
    return tuple(mutated(chance, each, 2) if chance.random() < 0.4 else each for each in found[:8])


def header_blocks(chance: random.Random, blocks: Blocks) -> None:
    """HPACK against another implementation: equal values and tables as long as both read on."""
    reference, decoder = Decoder(max_header_list_size=2**40), HeaderDecoder()
    allowed = chance.choice((100, 4096, 8192, 65_536))
    decoder.announced(allowed)
    decoder.acknowledged()
    reference.max_allowed_table_size = allowed
    for block in blocks:
        try:
            expected = dict(reference.decode(block, raw=True))
        except HPACKError:
            # Ours steps over values that nobody wants, and does not look whether they are right.
            with contextlib.suppress(HeaderError):
                decoder.decode(block)
            return
        try:
            found = decoder.decode(block)
        except HeaderError as error:
            # Numbers of more than 32 bits, and nothing else that the other one reads.
            if str(error) == "integer":
                return
            raise
        assert found == {name: value for name, value in expected.items() if name in WANTED}
        assert decoder.table == tuple(reference.header_table.dynamic_entries)


def _framed() -> Sequence[bytes]:
    return [b"".join(bytes((flag,)) + len(each).to_bytes(4, "big") + each for flag in range(3)) for each in corpus.messages()[:300]]


def grpc_framing(chance: random.Random, data: bytes) -> None:
    """Length-prefixed messages: however they are cut, what somebody reads who has all the bytes at once."""
    limit = chance.choice((0, 100, 64 * 1024))
    expected, position = [], 0
    while len(data) - position >= 5:
        length = int.from_bytes(data[position + 1 : position + 5], "big")
        payload = data[position + 5 : position + 5 + length]
        if len(payload) < length:
            break
        expected.append((data[position], payload if length <= limit else None, length))
        position += 5 + length
    reader = MessageReader(limit)
    found = []
    for piece in recut(chance, data):
        found += [tuple(each) for each in reader.feed(b"??" + piece + b"?", 2, 2 + len(piece))]
        assert reader.held <= limit
    assert found == expected


Compressed = tuple[bytes, bytes]


def _compressed() -> Sequence[Compressed]:
    found = []
    for number, message in enumerate(corpus.messages()[:200]):
        plain = message[:5000] * (1 + 20 * (number % 2))
        found.append((b"zstd", zstandard.ZstdCompressor(level=1 + number % 9, write_content_size=number % 3 == 0).compress(plain)))
        for encoding, bits in ((b"gzip", 31), (b"deflate", 15)):
            compressor = zlib.compressobj(wbits=bits)
            found.append((encoding, compressor.compress(plain) + compressor.flush()))
    return found


def _changed_compressed(chance: random.Random, compressed: Compressed, _: Sequence[Compressed]) -> Compressed:
    encoding, data = compressed
    return encoding if chance.random() < 0.95 else chance.choice((b"gzip", b"zstd", b"", b"identity", b"?\xff")), mutated(
        chance, data
    )


def compression(chance: random.Random, compressed: Compressed) -> None:
    """An error, or what the libraries themselves make of it, within the limits."""
    encoding, data = compressed
    limit = chance.choice((10, 5000, 2**20))
    try:
        found = inflate(encoding, data, limit)
    except InflateError:
        return
    assert len(found) <= min(limit, MAX_RATIO * len(data))
    if encoding == b"zstd":
        assert zstandard.ZstdDecompressor().decompressobj().decompress(data) == found
    elif encoding in {b"gzip", b"deflate"}:
        assert zlib.decompress(data, 31 if encoding == b"gzip" else 15) == found
    else:
        raise AssertionError(encoding)


def _with_outputs() -> Sequence[bytes]:
    found = []
    for number in range(8):
        secret = b"secret" * number
        response = reapi.ExecuteResponse(cached_result=number % 2 == 0, message="kept")
        response.result.stdout_raw = response.result.stderr_raw = secret
        for path in ("a", "b" * 200):
            response.result.output_files.add(path=path, contents=secret, is_executable=True)
        response.result.execution_metadata.worker = "w"
        operation = longrunning_pb2.Operation(name="main/1", done=True)
        operation.response.Pack(response)
        update = worker_api_pb2.UpdateForScheduler()
        update.execute_result.operation_id = "o"
        update.execute_result.execute_response.CopyFrom(response)
        found += [operation.SerializeToString(), update.SerializeToString(), update.execute_result.SerializeToString()]
    return [*found, *corpus.messages()[:200]]


def redaction(_chance: random.Random, message: bytes) -> None:
    """What is left of a damaged message has no outputs in it that protobuf finds; doing it again changes nothing."""
    for plan in (OPERATION, UPDATE_FOR_SCHEDULER, EXECUTE_RESULT):
        try:
            redacted = redact(message, plan)
        except (MalformedError, TooManyFieldsError):
            continue
        assert len(redacted) <= len(message)
        assert redact(redacted, plan) == redacted
        try:
            if plan is OPERATION:
                response = reapi.ExecuteResponse.FromString(longrunning_pb2.Operation.FromString(redacted).response.value)
            elif plan is UPDATE_FOR_SCHEDULER:
                response = worker_api_pb2.UpdateForScheduler.FromString(redacted).execute_result.execute_response
            else:
                response = worker_api_pb2.ExecuteResult.FromString(redacted).execute_response
        except DecodeError:
            continue
        assert not response.result.stdout_raw
        assert not response.result.stderr_raw
        assert not any(file.contents for file in response.result.output_files)


def _http1() -> Sequence[Conversation]:
    drain = b"POST /admin/scheduler/MAIN/set_drain_worker/w-%d/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n"
    upgrade = b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\n"
    return [
        ((True, drain % 1), (False, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")),
        ((True, drain % 1 + drain % 2), (False, chunked), (False, b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")),
        (
            (True, b"HEAD / HTTP/1.1\r\n\r\n" + drain % 3),
            (False, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"),
            (False, chunked),
        ),
        ((True, upgrade), (False, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n\0\0\0\4")),
        ((True, upgrade), (False, b"HTTP/1.0 200 OK\r\n\r\nuntil the end")),
    ]


def http1(chance: random.Random, said: Conversation) -> None:
    """Requests and answers: the same admin calls however they are cut, and little kept."""
    assert list(_answers(chance, said)) == list(_answers(chance, said))


def _answers(chance: random.Random, said: Conversation) -> Iterator[Answered | bytes]:
    reader = Http1()
    with contextlib.suppress(NotHttpError):
        for piece in recut(chance, b"".join(data for is_client, data in said if is_client)):
            reader.to_server(piece)
            assert 0 <= reader.kept_bytes <= 2**17
        for piece in recut(chance, b"".join(data for is_client, data in said if not is_client)):
            for each in reader.to_client(piece):
                if isinstance(each, Upgraded):
                    # What follows is not HTTP/1; how much of it came along depends on the cut.
                    yield each.protocol
                    return
                yield each
            assert 0 <= reader.kept_bytes <= 2**17


def _requests() -> Sequence[bytes]:
    found = []
    for number in (0, 1, 2**40, 2**63):
        request = tap_pb2.ReadRequest(run="0123456789abcdef", next_sequence=number).SerializeToString()
        acknowledgement = tap_pb2.Acknowledgement(sequence=number).SerializeToString()
        found.append(bytes((len(request),)) + request + (bytes((len(acknowledgement),)) + acknowledgement) * 2)
    return found


def read_requests(chance: random.Random, said: bytes) -> None:
    """What a reader of the record link says."""
    frames = RequestFrames()
    number = 0
    with contextlib.suppress(MalformedError):
        for piece in recut(chance, said):
            for message in frames.feed(piece):
                (read_acknowledgement if number else read_request)(message)
                number += 1


TARGETS = (
    Target(corpus.conversations, _changed_said, connection, ("/gateway/tap/",), 1_500),
    Target(_blocks, _changed_blocks, header_blocks, ("/tap/headers.py", "/tap/huffman.py"), 4_000),
    Target(_framed, changed_bytes, grpc_framing, ("/tap/grpc.py",), 3_000),
    Target(_compressed, _changed_compressed, compression, ("/tap/inflate.py",), 3_000),
    Target(_with_outputs, changed_bytes, redaction, ("/tap/redact.py", "/tap/wire.py"), 5_000),
    Target(_http1, _changed_said, http1, ("/tap/http1.py",), 5_000),
    Target(_requests, changed_bytes, read_requests, ("/tap/requests.py", "/tap/wire.py"), 5_000),
)
