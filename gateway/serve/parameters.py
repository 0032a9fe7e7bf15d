"""Parameters: those of an address come in, a query goes out, or 400 that says what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache

import grpc

from gateway.query.filter import WORKER_STATES, OperationFilter, WorkerFilter
from gateway.query.order import OPERATION_KEY_LENGTH, WORKER_KEY_LENGTH, OrderKey
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT, BadPageTokenError, decode_token
from gateway.serve.events.wire import parse_position
from gateway.serve.problems import bad_request, quoted
from gateway.serve.queries import EventsQuery, OperationsQuery, Wait, WorkersQuery
from gateway.serve.target import Target

#: The cursor; it comes from the Link header of the page before.
PAGE_TOKEN = "page_token"  # noqa: S105 - the name of a parameter

#: The documented words of `stage`, to the stage that each means.
STAGE_FILTERS = {"queued": "Queued", "executing": "Executing", "completed": "Completed", "cache_check": "CacheCheck"}

#: Likewise of `status`: names of google.rpc.Code.
STATUS_FILTERS = {code.name.lower(): code.value[0] for code in grpc.StatusCode}
#: Of `view`.
VIEWS = ("basic", "full")
#: Of `wait_for`, to the stages that end the wait: what completed has been executing.
WAIT_FOR = {"executing": frozenset({"Executing", "Completed"}), "completed": frozenset({"Completed"})}
#: Seconds of a wait, where nothing else is asked for and at most.
DEFAULT_WAIT_S = 60.0
MAX_WAIT_S = 300
#: Rows of a page in full, where nothing else is asked for and at most: each is asked of upstream.
DEFAULT_FULL_LIMIT = 100
MAX_FULL_LIMIT = 1_000
#: What a name of a platform property follows in the name of a parameter.
PROPERTY = "property."

#: Of `kind`: what events are about.
KINDS = ("workers", "operations", "scheduler", "health", "drains")

#: What each address takes; gateway/serve/description/questions.py says what it means.
WORKERS = ("view", "state", "id_prefix", f"{PROPERTY}NAME", "limit", PAGE_TOKEN)
OPERATIONS = (
    *("view", "stage", "worker_id", "digest", "instance", "invocation_id", "target", "mnemonic", "status", "min_age_s"),
    *(f"{PROPERTY}NAME", "limit", PAGE_TOKEN),
)
#: Filters of events by the kind that they are about; those of the lists but for an age, which changes without an event.
_OF_WORKERS = ("state", "id_prefix")
_OF_OPERATIONS = ("stage", "worker_id", "digest", "instance", "invocation_id", "target", "mnemonic", "status")
EVENTS = ("kind", "since", *_OF_WORKERS, *_OF_OPERATIONS, f"{PROPERTY}NAME")
ENTITY = ("view",)
OPERATION = ("view", "wait_for", "timeout")
#: Seconds; a year.
MAX_AGE_S = 31_536_000
_REMEMBERED = 1_024


def no_parameters(target: Target) -> None:
    """An address that takes no parameters."""
    _single(target, ())


def is_full(target: Target) -> bool:
    """Whether a worker is asked for with everything that is known of it.

    Raises:
        ProblemError: 400.
    """
    return _is_full(_single(target, ENTITY))


def operation_question(target: Target) -> tuple[bool, Wait | None]:
    """Whether an operation is asked for with everything that is known of it, and what to wait for before.

    Raises:
        ProblemError: 400.
    """
    given = _single(target, OPERATION)
    return _is_full(given), _wait(given)


def waits(target: Target) -> bool:
    """Whether the answer may be made to wait."""
    return any(name == "wait_for" for name, _ in target.parameters)


@lru_cache(_REMEMBERED)
def workers_query(target: Target) -> WorkersQuery:
    """What GET /api/v1/workers is asked for; all workers where nothing else is said, as documented.

    Raises:
        ProblemError: 400.
    """
    given = _single(target, WORKERS)
    full = _is_full(given)
    return WorkersQuery(_worker_filter(given), _limit(given, MAX_LIMIT, full=full), _after(given, WORKER_KEY_LENGTH), full)


@lru_cache(_REMEMBERED)
def operations_query(target: Target) -> OperationsQuery:
    """What GET /api/v1/operations is asked for.

    Raises:
        ProblemError: 400.
    """
    given = _single(target, OPERATIONS)
    full = _is_full(given)
    after = _after(given, OPERATION_KEY_LENGTH)
    limit = _limit(given, DEFAULT_LIMIT, full=full)
    return OperationsQuery(_operation_filter(given), limit, after, full, _min_age_s(given))


@lru_cache(_REMEMBERED)
def events_query(target: Target) -> EventsQuery:
    """What GET /api/v1/events is asked for; everything where nothing is said.

    Raises:
        ProblemError: 400.
    """
    given = _single(target, EVENTS)
    kinds = _words(given, "kind", {word: word for word in KINDS}) or frozenset(KINDS)
    for kind, names in (("workers", _OF_WORKERS), ("operations", _OF_OPERATIONS)):
        useless = [name for name in names if name in given and kind not in kinds]
        if useless:
            raise bad_request(f"{useless[0]} is about {kind}, and kind does not name them")
    return EventsQuery(
        _worker_filter(given) if "workers" in kinds else None,
        _operation_filter(given) if "operations" in kinds else None,
        "scheduler" in kinds,
        "health" in kinds,
        "drains" in kinds,
        _since(given),
    )


def _worker_filter(given: dict[str, str]) -> WorkerFilter:
    return WorkerFilter(
        states=_words(given, "state", {word: word for word in WORKER_STATES}),
        properties=_properties(given),
        id_prefix=given.get("id_prefix"),
    )


def _operation_filter(given: dict[str, str]) -> OperationFilter:
    return OperationFilter(
        stages=_words(given, "stage", STAGE_FILTERS),
        worker_id=given.get("worker_id"),
        digest_hash=_digest(given),
        instance_name=given.get("instance"),
        invocation_id=given.get("invocation_id"),
        target=given.get("target"),
        mnemonic=given.get("mnemonic"),
        properties=_properties(given),
        status_code=_status(given),
    )


def _since(given: dict[str, str]) -> tuple[str, int] | None:
    text = given.get("since")
    if text is None:
        return None
    revision = parse_position(text)
    if revision is None:
        raise bad_request(f"since is {quoted(text)!r}: it is the id of an event, EPOCH-NUMBER")
    return revision


def _single(target: Target, known: tuple[str, ...]) -> dict[str, str]:
    """Every parameter is known and given once."""
    given: dict[str, str] = {}
    for name, value in target.parameters:
        is_property = f"{PROPERTY}NAME" in known and name.startswith(PROPERTY) and name != PROPERTY
        if name not in known and not is_property:
            raise bad_request(_unknown(name, known))
        if name in given:
            raise bad_request(f"Parameter {name} is given more than once")
        given[name] = value
    return given


def _unknown(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return f"Unknown parameter {quoted(name)!r}: this address takes none"
    nearest = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return f"Unknown parameter {quoted(name)!r}: {hint}This address takes {', '.join(known)}"


def _is_full(given: dict[str, str]) -> bool:
    word = given.get("view", VIEWS[0])
    if word not in VIEWS:
        raise bad_request(f"view is {quoted(word)!r}: it is one of {', '.join(VIEWS)}")
    return word == "full"


def _words(given: dict[str, str], name: str, words: Mapping[str, str]) -> frozenset[str] | None:
    """One of the words or several with commas between them, in any case; None where nothing is asked for."""
    text = given.get(name)
    if text is None:
        return None
    asked = [words.get(word.strip().lower()) for word in text.split(",")]
    if None in asked:
        raise bad_request(f"{name} is {quoted(text)!r}: it is one of {', '.join(words)}")
    return frozenset(word for word in asked if word is not None)


def _digest(given: dict[str, str]) -> str | None:
    """`HASH`, or `FUNCTION:HASH` as it is shown."""
    text = given.get("digest")
    return None if text is None else text.rpartition(":")[2].lower()


def _properties(given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name.removeprefix(PROPERTY), value) for name, value in given.items() if name.startswith(PROPERTY)))


def _status(given: dict[str, str]) -> int | None:
    word = given.get("status")
    if word is None:
        return None
    code = STATUS_FILTERS.get(word.lower())
    if code is None:
        raise bad_request(f"status is {quoted(word)!r}: it is one of {', '.join(STATUS_FILTERS)}")
    return code


def _min_age_s(given: dict[str, str]) -> float | None:
    return _seconds(given, "min_age_s", MAX_AGE_S)


def _wait(given: dict[str, str]) -> Wait | None:
    word, timeout_s = given.get("wait_for"), _seconds(given, "timeout", MAX_WAIT_S)
    if word is None:
        if timeout_s is not None:
            raise bad_request("timeout says how long to wait: it goes with wait_for")
        return None
    stages = WAIT_FOR.get(word.lower())
    if stages is None:
        raise bad_request(f"wait_for is {quoted(word)!r}: it is one of {', '.join(WAIT_FOR)}")
    return Wait(stages, DEFAULT_WAIT_S if timeout_s is None else timeout_s)


def _seconds(given: dict[str, str], name: str, most: int) -> float | None:
    text = given.get(name)
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,20}(?:[.][0-9]{1,20})?(?:[eE][-+]?[0-9]{1,3})?", text) and (seconds := float(text)) <= most:
        return seconds
    raise bad_request(f"{name} is {quoted(text)!r}: it is a number of seconds from 0 to {most}")


def _limit(given: dict[str, str], default: int, *, full: bool) -> int:
    text = given.get("limit")
    most = MAX_FULL_LIMIT if full else MAX_LIMIT
    if text is None:
        return DEFAULT_FULL_LIMIT if full else default
    # More digits than this are over the limit anyway, and cost more to convert than a request should.
    if text.isascii() and text.isdigit() and len(text) <= 20 and (limit := int(text)) <= most:
        return limit
    raise bad_request(f"limit is {quoted(text)!r}: it is a whole number from 0 to {most}{' in full' if full else ''}")


def _after(given: dict[str, str], key_length: int) -> OrderKey | None:
    token = given.get(PAGE_TOKEN, "")
    try:
        return decode_token(token, key_length)
    except BadPageTokenError:
        raise bad_request(f"{PAGE_TOKEN} is {quoted(token)!r}: it is taken from the Link header of the page before") from None
