"""Bodies of requests that change something: a request comes in, what it says goes out, or a problem that says what would be right.

Only JSON, said to be that: a page of another origin cannot send it unasked.
"""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING
from msgspec import UNSET, UnsetType

from gateway.serve.problems import ProblemError, bad_request, quoted
from gateway.serve.shape import says

JSON = "application/json"
#: Bytes of a body.
BODY_MAX = 64 * 1024
#: How long one may take to come.
BODY_S = 10.0
#: Characters of a selector's name or value, as `observe` has it, and of a key.
SELECTOR_MAX, KEY_MAX = 1_000, 200
KEY = "Idempotency-Key"

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=SELECTOR_MAX)]
_Value = Annotated[str, msgspec.Meta(max_length=SELECTOR_MAX)]
_Property = Annotated[dict[_Text, _Value], msgspec.Meta(min_length=1, max_length=1)]


class NothingJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request whose address says it all: empty, or `{}`."""


class DrainRequestJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which workers are meant: `id_prefix` or `property`."""

    id_prefix: Annotated[_Text | UnsetType, says("Workers whose ids begin so.")] = UNSET
    property: Annotated[
        _Property | UnsetType,
        says("Workers that declare it: its name and its value, of a name that is declared several times the last one."),
    ] = UNSET

    until_gone: Annotated[bool, says("The drain ends once none of its workers is connected, instead of being cancelled.")] = False


class CancelJson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the workers of a drain that ends."""

    undrain: Annotated[bool, says("Whether they get work again; otherwise they are left draining.")]


_Body = TypeVar("_Body", bound=msgspec.Struct)


async def read_body(request: web.BaseRequest, kind: type[_Body]) -> _Body:
    """What the body says.

    Raises:
        ProblemError: 400, 408, 413 or 415.
    """
    if request.content_type != JSON or request.charset not in {None, "utf-8", "UTF-8"} or CONTENT_ENCODING in request.headers:
        raise ProblemError(415, f"A change is asked for with Content-Type: {JSON}, in UTF-8, and without Content-Encoding")
    data = await _read(request)
    try:
        said = msgspec.json.decode(data) if data.strip() else {}
    except msgspec.DecodeError as error:
        raise bad_request(f"The body is no JSON: {quoted(str(error))}") from None
    if not isinstance(said, dict):
        raise bad_request('The body is no JSON object, { "KEY": VALUE }')
    _check_keys(said, kind)
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise bad_request(f"The body is not as it should be: {quoted(str(error))}") from None


def selector(body: DrainRequestJson) -> dict[str, Any]:
    """Which one it is, as it was written.

    Raises:
        ProblemError: 400, none or both.
    """
    given: dict[str, Any] = {
        name: value for name, value in (("id_prefix", body.id_prefix), ("property", body.property)) if value is not UNSET
    }
    if len(given) != 1:
        raise bad_request('Say which workers are meant, { "id_prefix": "…" } or { "property": { "NAME": "VALUE" } }: one of them')
    return given


def idempotency_key(request: web.BaseRequest) -> str:
    """The key of a request; "": it has none.

    Raises:
        ProblemError: 400.
    """
    keys = request.headers.getall(KEY, ())
    if not keys:
        return ""
    key = keys[0]
    if len(keys) > 1 or not key or len(key) > KEY_MAX or not key.isascii() or not key.isprintable():
        raise bad_request(f"{KEY} is one value of 1 to {KEY_MAX} visible ASCII characters, a new one for each change")
    return key


def _check_keys(said: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    known = kind.__struct_fields__
    for key in said:
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.0)
            takes = f"did you mean {near[0]}? This address takes {', '.join(known)}" if near else "this address takes none"
            raise bad_request(f"Unknown key {quoted(key)!r}: {takes}")


async def _read(request: web.BaseRequest) -> bytes:
    if (request.content_length or 0) > BODY_MAX:
        raise _too_large()
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                data += part
                if len(data) > BODY_MAX:
                    raise _too_large()
    except TimeoutError:
        raise ProblemError(408, f"The body did not come within {BODY_S:.0f} s") from None
    except (web.PayloadAccessError, ConnectionError):
        raise bad_request("The body broke off") from None
    return bytes(data)


def _too_large() -> ProblemError:
    return ProblemError(413, f"The body is larger than {BODY_MAX} bytes")
