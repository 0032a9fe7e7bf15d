"""Records of every kind with a secret of its own in every text, unknown fields included."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.observe.recording.payloads import METHODS
from gateway.observe.recording.redaction import DECISIONS, handled
from gateway.pb import longrunning_pb2, tap_pb2, worker_api_pb2
from gateway.pb import remote_execution_pb2 as reapi

TEXT = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}
#: What a recording is made of.
_ROOTS: list[type[Message]] = [
    tap_pb2.TapRecord,
    reapi.RequestMetadata,
    reapi.ExecuteOperationMetadata,
    reapi.ExecuteResponse,
    *(each for pair in METHODS.values() for each in pair),
    worker_api_pb2.ConnectWorkerRequest,
]


def descriptors() -> Iterator[Any]:
    """Every message of ours that may be in a recording."""
    seen: set[str] = set()
    waiting = [root.DESCRIPTOR for root in _ROOTS]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name in seen or descriptor.full_name.startswith("google.protobuf."):
            continue
        seen.add(descriptor.full_name)
        yield descriptor
        waiting += [field.message_type for field in descriptor.fields if field.message_type is not None]


class Planter:
    """Makes messages and remembers the secrets."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.secrets: list[str] = []

    def secret(self) -> str:
        self.secrets.append(f"secret{self.chance.getrandbits(64):016x}")
        return self.secrets[-1]

    def fill(self, message: Message, depth: int = 0) -> Message:
        for field in message.DESCRIPTOR.fields:
            oneof = field.containing_oneof
            if oneof is None or message.WhichOneof(oneof.name) in {None, field.name}:
                self._fill_field(message, field, depth)
        if not message.DESCRIPTOR.full_name.startswith("google.protobuf."):
            unknown = self.secret().encode()
            message.MergeFromString(b"\xfa\x7f" + bytes((len(unknown),)) + unknown)
        return message

    def _fill_field(self, message: Message, field: Any, depth: int) -> None:
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth <= 6 and field.message_type.full_name != "google.protobuf.Any":
                inner = getattr(message, field.name)
                self.fill(inner.add() if field.is_repeated else inner, depth + 1)
        elif field.type in TEXT and DECISIONS.get(field.full_name) is not handled:
            value: Any = self.secret()
            value = value.encode() if field.type == FieldDescriptor.TYPE_BYTES else value
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)

    def payload(self, kind: type[Message]) -> bytes:
        message = kind()
        if isinstance(message, longrunning_pb2.Operation):
            self.fill(message)
            message.metadata.Pack(self.fill(reapi.ExecuteOperationMetadata()))
            message.response.Pack(self.fill(reapi.ExecuteResponse()))
        elif isinstance(message, worker_api_pb2.UpdateForScheduler | worker_api_pb2.UpdateForWorker):
            field = self.chance.choice(
                [field for field in message.DESCRIPTOR.fields if field.message_type and field.message_type.fields]
            )
            self.fill(getattr(message, field.name))
            getattr(message, field.name).SetInParent()
        else:
            self.fill(message)
        return message.SerializeToString()

    def records(self) -> Iterator[tap_pb2.TapRecord]:
        """Of every kind, and what cannot be read."""
        for field in tap_pb2.TapRecord.DESCRIPTOR.oneofs[0].fields:
            if field.name not in {"message", "open_stream"}:
                record = tap_pb2.TapRecord()
                if field.name == "stream_opened":
                    record.stream_opened.request_metadata = self.payload(reapi.RequestMetadata)
                self.fill(getattr(record, field.name))
                getattr(record, field.name).SetInParent()
                yield record
        for number, method in enumerate(METHODS, 1):
            yield from self._stream(number, method)
        yield from self._unreadable()

    def _stream(self, connection: int, method: str) -> Iterator[tap_pb2.TapRecord]:
        to_server, to_client = METHODS[method]
        opened = tap_pb2.StreamOpened(method=method, request_metadata=self.payload(reapi.RequestMetadata))
        yield tap_pb2.TapRecord(connection=connection, stream=1, stream_opened=opened)
        for _ in range(8):
            for direction, kind in ((tap_pb2.Message.TO_SERVER, to_server), (tap_pb2.Message.TO_CLIENT, to_client)):
                message = tap_pb2.Message(direction=direction, payload=self.payload(kind))
                yield tap_pb2.TapRecord(connection=connection, stream=1, message=message)
        state = tap_pb2.OpenStream(
            stream_opened=opened,
            first_to_server=self.payload(to_server),
            first_to_client=self.payload(to_client),
            latest_to_client=self.payload(to_client),
        )
        yield tap_pb2.TapRecord(connection=connection, stream=1, open_stream=state)

    def _unreadable(self) -> Iterator[tap_pb2.TapRecord]:
        secret = self.secret().encode()
        opened = tap_pb2.StreamOpened(method="/own/" + self.secret(), request_metadata=b"\xff" + secret)
        yield tap_pb2.TapRecord(connection=98, stream=9, stream_opened=opened)
        state = tap_pb2.OpenStream(stream_opened=opened, first_to_server=secret, first_to_client=secret, latest_to_client=secret)
        yield tap_pb2.TapRecord(connection=98, stream=9, open_stream=state)
        to_server = tap_pb2.Message.TO_SERVER
        yield tap_pb2.TapRecord(connection=1, stream=1, message=tap_pb2.Message(direction=to_server, payload=b"\x0a\xff" + secret))
        yield tap_pb2.TapRecord(connection=99, stream=9, message=tap_pb2.Message(direction=to_server, payload=secret))
        other = longrunning_pb2.Operation(done=True)
        known = reapi.ExecuteOperationMetadata.DESCRIPTOR.full_name
        for type_url in ("type.googleapis.com/" + self.secret(), f"{self.secret()}/{known}", known, self.secret()):
            for value in (secret, self.payload(reapi.ExecuteOperationMetadata), self.payload(reapi.ExecuteResponse)):
                for which in (other.metadata, other.response):
                    which.type_url, which.value = type_url, value
                message = tap_pb2.Message(direction=tap_pb2.Message.TO_CLIENT, payload=other.SerializeToString())
                yield tap_pb2.TapRecord(connection=1, stream=1, message=message)
        for request in ("POST /{}/scheduler/{}/set_drain_worker/{}/1", "{} /x", "GET /status/{}", "POST {}/set_drain_worker/{}"):
            call = tap_pb2.AdminCall(request=request.format(self.secret(), self.secret(), self.secret()))
            yield tap_pb2.TapRecord(admin_call=call)
        for address in ("{}:50051", "{}:{}", "[{}]:1", "{}:98765432123456789"):
            text = address.format(self.secret(), self.secret())
            yield tap_pb2.TapRecord(connection_opened=tap_pb2.ConnectionOpened(peer=text))
            yield tap_pb2.TapRecord(
                upstream_refused=tap_pb2.UpstreamRefused(reason=f"{text}: Connection refused by {self.secret()}")
            )
            yield tap_pb2.TapRecord(blinded=tap_pb2.Blinded(detail=f"more than {text} bytes; {self.secret()}"))
