"""A recording's records come in, the same without what nobody else should see goes out: names, values, paths, words are hashes.

What is equal stays equal and what differs stays different, so that the recording still plays to the same model up to its names. A
hash is keyed: without the key nobody finds out by guessing. Numbers, times, sizes, stages and codes stay. Every text and every
bytes field of every message has a decision in DECISIONS; fields that are not in our protos are dropped, payloads that cannot be
read are left out and said to be.

Kept are only words that are the same everywhere: methods, what a shipped configuration calls things, the system's reasons.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.observe.recording.payloads import METHODS, Methods, message_class
from gateway.observe.recording.vocabulary import vocabulary
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import tap_pb2

_TEXT = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES})
#: What is in an Any, by the field that it is in: whoever reads it goes by that too.
_ANYS: Mapping[str, type[Message]] = {
    "google.longrunning.Operation.metadata": reapi.ExecuteOperationMetadata,
    "google.longrunning.Operation.response": reapi.ExecuteResponse,
}
_CARRIES = frozenset({"execution", "worker_api", "admin"})
_NUMBER = re.compile(r"[0-9]{1,15}")
_PORT = re.compile(r"[0-9]{1,5}")
#: As the tap makes them.
_RUN = re.compile(r"[0-9a-f]{32}")
#: As `gateway.observe.conversations` reads it.
_SET_DRAIN = re.compile(r"POST (\S*)/scheduler/([^/\s]+)/set_drain_worker/([^/\s]+)/([01])(?:\?\S*)?")
_VERBS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD"})
#: Of hashes in hexadecimal digits: the length tells a digest's function, and shorter ones could not stay different.
_HASH_DIGITS = range(32, 2 * hashlib.blake2b.MAX_DIGEST_SIZE + 1, 2)
#: What NativeLink's shipped configurations call things: everybody's words. And what ours calls its taps.
_SHIPPED_SCHEDULER = "MAIN_SCHEDULER"
_SHIPPED_ADMIN = "/admin"
_SHIPPED_LISTENERS = frozenset({"execution", "workers"})

#: Takes a text, gives what stands for it.
Replace = Callable[["Redaction", str], str]


class Redaction:
    """Redacts records in their order. With one `key` the same text is the same hash in every recording."""

    def __init__(self, key: bytes, *, keeps_numbers: bool = False) -> None:
        """`keeps_numbers`: property values that are numbers stay, so that `minimum` properties still add up."""
        self._key = key
        self._keeps_numbers = keeps_numbers
        self._methods = Methods()
        #: Name -> what stands for it: who plays the recording has to call the scheduler that is shown so.
        self.schedulers: dict[str, str] = {}

    def redact(self, record: tap_pb2.TapRecord) -> tap_pb2.TapRecord:
        """A new record without what nobody else should see."""
        method = self._methods.follow(record)
        redacted = tap_pb2.TapRecord()
        redacted.CopyFrom(record)
        redacted.DiscardUnknownFields()
        kind = redacted.WhichOneof("record")
        if kind == "message":
            self._message(redacted.message, method)
        elif kind == "stream_opened":
            self._stream(redacted.stream_opened)
        elif kind == "open_stream":
            self._open_stream(redacted.open_stream, method)
        self._walk(redacted)
        return redacted

    # --- payloads -----------------------------------------------------------------------------------------------------

    def _message(self, message: tap_pb2.Message, method: str) -> None:
        if message.omitted:
            message.payload = b""
            return
        payload = self._payload(method, message.direction, message.payload)
        if payload is None:
            message.omitted_length = len(message.payload)
            message.omitted = tap_pb2.Message.MALFORMED
            payload = b""
        message.payload = payload

    def _open_stream(self, opened: tap_pb2.OpenStream, method: str) -> None:
        if opened.HasField("stream_opened"):
            self._stream(opened.stream_opened)
        if opened.HasField("first_to_server"):
            # Empty is what stands for one that was not kept.
            opened.first_to_server = self._payload(method, tap_pb2.Message.TO_SERVER, opened.first_to_server) or b""
        if opened.HasField("first_to_client"):
            _set_or_clear(opened, "first_to_client", self._payload(method, tap_pb2.Message.TO_CLIENT, opened.first_to_client))
        if opened.HasField("latest_to_client"):
            _set_or_clear(opened, "latest_to_client", self._payload(method, tap_pb2.Message.TO_CLIENT, opened.latest_to_client))

    def _stream(self, opened: tap_pb2.StreamOpened) -> None:
        metadata = self._parsed(reapi.RequestMetadata, opened.request_metadata)
        opened.request_metadata = metadata or b""

    def _payload(self, method: str, direction: tap_pb2.Message.Direction.ValueType, payload: bytes) -> bytes | None:
        found = message_class(method, direction, payload)
        return None if found is None else self._parsed(found, payload)

    def _parsed(self, kind: type[Message], payload: bytes) -> bytes | None:
        try:
            message = kind.FromString(payload)
        except DecodeError:
            return None
        message.DiscardUnknownFields()
        self._walk(message)
        return message.SerializeToString()

    # --- fields -------------------------------------------------------------------------------------------------------

    def _walk(self, message: Message) -> None:
        """Replaces every text of a message and of those in it."""
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                for each in value if field.is_repeated else (value,):
                    if isinstance(each, AnyMessage):
                        self._any(each, _ANYS.get(field.full_name))
                    else:
                        self._walk(each)
            elif field.type in _TEXT:
                decide = DECISIONS.get(field.full_name, hashed)
                if decide is handled:
                    continue
                if field.is_repeated:
                    replaced = [decide(self, each) for each in value]
                    del value[:]
                    value.extend(replaced)
                else:
                    setattr(message, field.name, decide(self, value) if field.type == FieldDescriptor.TYPE_STRING else b"")

    def _any(self, message: AnyMessage, kind: type[Message] | None) -> None:
        is_named = kind is not None and message.type_url.rpartition("/")[2] == kind.DESCRIPTOR.full_name
        parsed = None if kind is None else self._parsed(kind, message.value)
        message.type_url = f"type.googleapis.com/{kind.DESCRIPTOR.full_name}" if kind and is_named else self.hash(message.type_url)
        message.value = parsed or b""

    def hash(self, text: str) -> str:
        """What stands for a text; nothing for nothing."""
        return f"h{self._digest(text, 8)}" if text else ""

    def _digest(self, text: str, size: int) -> str:
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=size).hexdigest()

    def digest_hash(self, text: str) -> str:
        """Of a digest: as long as it was, since its function is told by that."""
        text = text.lower()
        return self._digest(text, len(text) // 2) if len(text) in _HASH_DIGITS else self.hash(text)

    def property_value(self, text: str) -> str:
        """A property's value."""
        return text if self._keeps_numbers and _NUMBER.fullmatch(text) else self.hash(text)


def _set_or_clear(opened: tap_pb2.OpenStream, field: str, payload: bytes | None) -> None:
    if payload is None:
        opened.ClearField(field)  # type: ignore[arg-type]  # one of its bytes fields
    else:
        setattr(opened, field, payload)


# --- what becomes of a field ------------------------------------------------------------------------------------------


def hashed(redaction: Redaction, text: str) -> str:
    """A name, an id, words."""
    return redaction.hash(text)


def handled(_redaction: Redaction, text: str) -> str:
    """Redacted where its meaning is known."""
    return text


def _address(redaction: Redaction, text: str) -> str:
    host, colon, port = text.rpartition(":")
    return f"{redaction.hash(host)}:{port}" if colon and _PORT.fullmatch(port) else redaction.hash(text)


def _words(redaction: Redaction, text: str) -> str:
    """The system's or our own, between which names and addresses stand."""
    return " ".join(_word(redaction, each) for each in text.split())


def _word(redaction: Redaction, text: str) -> str:
    word = text.rstrip(":,;")
    return text if word in vocabulary() or _PORT.fullmatch(word) else f"{_address(redaction, word)}{text[len(word) :]}"


def _operation_name(redaction: Redaction, text: str) -> str:
    """`{instance_name}/{client_operation_id}` (nativelink-facts 3)."""
    instance, slash, client = text.rpartition("/")
    return f"{redaction.hash(instance)}{slash}{redaction.hash(client)}"


def _scheduler(redaction: Redaction, text: str) -> str:
    if text in {"", _SHIPPED_SCHEDULER}:
        return text
    return redaction.schedulers.setdefault(text, redaction.hash(text))


def _admin_request(redaction: Redaction, text: str) -> str:
    """`POST /admin/scheduler/NAME/set_drain_worker/ID/1`; of others only the verb."""
    match = _SET_DRAIN.fullmatch(text)
    if match is None:
        verb, space, path = text.partition(" ")
        return f"{verb if verb in _VERBS else redaction.hash(verb)}{space}{'/' * bool(path)}{redaction.hash(path)}"
    prefix, scheduler, worker_id, draining = match.groups()
    where = prefix if prefix in {"", _SHIPPED_ADMIN} else f"/{redaction.hash(prefix)}"
    name = _scheduler(redaction, unquote(scheduler))
    return f"POST {where}/scheduler/{name}/set_drain_worker/{redaction.hash(unquote(worker_id))}/{draining}"


def _listener(redaction: Redaction, text: str) -> str:
    return text if text in _SHIPPED_LISTENERS else redaction.hash(text)


def _method(redaction: Redaction, text: str) -> str:
    return text if text in METHODS else redaction.hash(text)


def _run(redaction: Redaction, text: str) -> str:
    return text if _RUN.fullmatch(text) else redaction.hash(text)


def _carried(redaction: Redaction, text: str) -> str:
    return text if text in _CARRIES else redaction.hash(text)


_TAP = "nativelink.gateway.tap.v1"
_REAPI = "build.bazel.remote.execution.v2"
_WORKER_API = "com.github.trace_machina.nativelink.remote_execution"

#: Full name of a text or bytes field -> what becomes of it.
DECISIONS: Mapping[str, Replace] = {
    f"{_TAP}.RunStarted.run": _run,
    f"{_TAP}.Listener.name": _listener,
    f"{_TAP}.Listener.listen": _address,
    f"{_TAP}.Listener.upstream": _address,
    f"{_TAP}.Listener.carries": _carried,
    f"{_TAP}.Listener.scheduler": _scheduler,
    f"{_TAP}.ListenerTotals.name": _listener,
    f"{_TAP}.ConnectionOpened.listener": _listener,
    f"{_TAP}.ConnectionOpened.peer": _address,
    f"{_TAP}.UpstreamRefused.reason": _words,
    f"{_TAP}.Blinded.detail": _words,
    f"{_TAP}.StreamOpened.method": _method,
    f"{_TAP}.StreamOpened.request_metadata": handled,
    f"{_TAP}.StreamOpened.user_agent": hashed,
    f"{_TAP}.Message.payload": handled,
    f"{_TAP}.StreamClosed.message": hashed,
    f"{_TAP}.AdminCall.request": _admin_request,
    f"{_TAP}.OpenStream.first_to_server": handled,
    f"{_TAP}.OpenStream.first_to_client": handled,
    f"{_TAP}.OpenStream.latest_to_client": handled,
    "google.longrunning.Operation.name": _operation_name,
    "google.rpc.Status.message": hashed,
    f"{_REAPI}.Digest.hash": Redaction.digest_hash,
    f"{_REAPI}.Platform.Property.name": hashed,
    f"{_REAPI}.Platform.Property.value": Redaction.property_value,
    f"{_REAPI}.ExecuteRequest.instance_name": hashed,
    f"{_REAPI}.WaitExecutionRequest.name": _operation_name,
    f"{_REAPI}.ExecuteResponse.message": hashed,
    f"{_REAPI}.ActionResult.stdout_raw": hashed,
    f"{_REAPI}.ActionResult.stderr_raw": hashed,
    f"{_REAPI}.OutputFile.path": hashed,
    f"{_REAPI}.OutputFile.contents": hashed,
    f"{_REAPI}.ExecutedActionMetadata.worker": hashed,
    f"{_REAPI}.RequestMetadata.action_id": Redaction.digest_hash,
    f"{_REAPI}.RequestMetadata.tool_invocation_id": hashed,
    f"{_REAPI}.RequestMetadata.correlated_invocations_id": hashed,
    f"{_REAPI}.RequestMetadata.action_mnemonic": hashed,
    f"{_REAPI}.RequestMetadata.target_id": hashed,
    f"{_REAPI}.RequestMetadata.configuration_id": hashed,
    f"{_REAPI}.ToolDetails.tool_name": hashed,
    f"{_REAPI}.ToolDetails.tool_version": hashed,
    f"{_WORKER_API}.ConnectWorkerRequest.worker_id_prefix": hashed,
    f"{_WORKER_API}.KeepAliveRequest.worker_id": hashed,
    f"{_WORKER_API}.GoingAwayRequest.worker_id": hashed,
    f"{_WORKER_API}.ExecuteResult.instance_name": hashed,
    f"{_WORKER_API}.ExecuteResult.operation_id": hashed,
    f"{_WORKER_API}.LegacyExecuteResult.worker_id": hashed,
    f"{_WORKER_API}.LegacyExecuteResult.instance_name": hashed,
    f"{_WORKER_API}.LegacyExecuteResult.operation_id": hashed,
    f"{_WORKER_API}.ActionResourceUsage.operation_id": hashed,
    f"{_WORKER_API}.ActionResourceUsage.worker_id": hashed,
    f"{_WORKER_API}.ExecuteComplete.operation_id": hashed,
    f"{_WORKER_API}.ConnectionResult.worker_id": hashed,
    f"{_WORKER_API}.StartExecute.operation_id": hashed,
    f"{_WORKER_API}.StartExecute.worker_id": hashed,
    f"{_WORKER_API}.KillOperationRequest.operation_id": hashed,
}
