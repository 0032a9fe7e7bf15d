"""Questions: names of parameters come in, what each means goes out. The names are those of `gateway.serve.parameters`."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.query.filter import WORKER_STATES
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT
from gateway.serve.description.entry import Parameter, Schema
from gateway.serve.drains.body import KEY, KEY_MAX
from gateway.serve.encodings import CODINGS
from gateway.serve.parameters import (
    DEFAULT_FULL_LIMIT,
    DEFAULT_WAIT_S,
    KINDS,
    MAX_AGE_S,
    MAX_FULL_LIMIT,
    MAX_WAIT_S,
    PAGE_TOKEN,
    PROPERTY,
    STAGE_FILTERS,
    STATUS_FILTERS,
    VIEWS,
    WAIT_FOR,
)

_STRING: Schema = {"type": "string"}
_FULL_LIMIT = f"with `view=full` {DEFAULT_FULL_LIMIT} unless given and {MAX_FULL_LIMIT} at most"


def _words(words: Iterable[str]) -> Schema:
    """One or several, with commas between them."""
    return {"type": "array", "items": {"type": "string", "enum": [*words]}, "minItems": 1}


#: Where a list of all workers is what is documented.
WORKERS_LIMIT = Parameter(
    "limit",
    f"Rows at most; all unless given, {_FULL_LIMIT}.",
    {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": MAX_LIMIT},
    2,
)

#: {name: the parameter}
_PARAMETERS = {
    each.name: each
    for each in (
        Parameter(
            "view",
            "`full` adds everything that is known.",
            {"type": "string", "enum": [*VIEWS], "default": VIEWS[0]},
            "basic",
        ),
        Parameter(
            "state", "Workers in any of these states; a worker may be paused and draining.", _words(WORKER_STATES), ["active"]
        ),
        Parameter("id_prefix", "Workers whose id begins so.", _STRING, "worker-"),
        Parameter("stage", "Operations in any of these stages.", _words(STAGE_FILTERS), ["queued", "executing"]),
        Parameter("worker_id", "Operations that this worker has, or ran.", _STRING, "worker-123"),
        Parameter("digest", "Of the action, as `HASH` or `FUNCTION:HASH`.", _STRING, "sha256:abc123..."),
        Parameter("instance", "REAPI's instance name.", _STRING, "main"),
        Parameter("invocation_id", "A client's tool invocation, such as Bazel's.", _STRING, "6a1f0c52-3c2e-4f5e-9d5a-0a8c1c6d2f11"),
        Parameter("target", "What a client's target begins with.", _STRING, "//app"),
        Parameter("mnemonic", "A client's action mnemonic.", _STRING, "CppCompile"),
        Parameter(
            "status",
            "How it ended: a google.rpc.Code. Only completed ones have one.",
            {"type": "string", "enum": [*STATUS_FILTERS]},
            "ok",
        ),
        Parameter(
            "min_age_s",
            "Seconds since it was queued, at least.",
            {"type": "number", "minimum": 0, "maximum": MAX_AGE_S},
            60,
        ),
        Parameter(
            f"{PROPERTY}NAME",
            "The platform property NAME has exactly this value. Several: all of them.",
            {"type": "object", "patternProperties": {r"^property\..+$": _STRING}, "additionalProperties": False},
            {f"{PROPERTY}cpu_count": "4"},
        ),
        Parameter(
            "limit",
            f"Rows at most; {_FULL_LIMIT}.",
            {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            2,
        ),
        Parameter(
            PAGE_TOKEN,
            "The place to go on from. It comes from the `Link` header of the page before; empty: from the beginning.",
            _STRING,
            "",
        ),
        Parameter(
            "wait_for",
            "Answer only once a worker has it, or had it (`executing`), or it has completed.",
            {"type": "string", "enum": [*WAIT_FOR]},
            "completed",
        ),
        Parameter(
            "timeout",
            "Goes with `wait_for`: seconds after which the answer comes all the same.",
            {"type": "number", "minimum": 0, "maximum": MAX_WAIT_S, "default": int(DEFAULT_WAIT_S)},
            30,
        ),
        Parameter("kind", "What events are about; all kinds unless given.", _words(KINDS), ["operations", "health"]),
        Parameter(
            "since",
            "The id of an event, to go on behind it. `Last-Event-ID` counts before it.",
            {"type": "string", "pattern": "^[!-~]{1,300}-[0-9]{1,20}$"},
            "0c6b2f-4711",
        ),
    )
}

IF_NONE_MATCH = Parameter("If-None-Match", "Entity tags of what the client has already, or `*`.", _STRING, '"0c6b2f"')
ACCEPT_ENCODING = Parameter(
    "Accept-Encoding", f"Codings that the client reads; {' and '.join(CODINGS)} are offered.", _STRING, "gzip"
)
IDEMPOTENCY_KEY = Parameter(
    KEY,
    "A change with the same key, by the same caller, is done once in 24 hours: later requests get what it led to, as it is then.",
    {"type": "string", "minLength": 1, "maxLength": KEY_MAX, "pattern": "^[ -~]+$"},
    "2f1c0a4e-9c1b-4f7e-8f56-1c0d8a5b7e21",
)
LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "The id of the last event that the client got, to go on behind it.", _STRING, "0c6b2f-4711"
)


def questions(names: Iterable[str], *instead: Parameter) -> tuple[Parameter, ...]:
    """What these parameters mean; `instead`: where that is something else than usual.

    Raises:
        KeyError: nobody says what one means.
    """
    others = {each.name: each for each in instead}
    return tuple(others.get(name) or _PARAMETERS[name] for name in names)
