"""Parameters: those of an address come in, a query goes out, or 400 that says what would be right."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache

from gateway.query.filter import OperationFilter
from gateway.query.order import OPERATION_KEY_LENGTH, WORKER_KEY_LENGTH, OrderKey
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT, BadPageTokenError, decode_token
from gateway.serve.problems import bad_request, quoted
from gateway.serve.replica import OperationsQuery, WorkersQuery
from gateway.serve.target import Target

#: The cursor; it comes from the Link header of the page before.
PAGE_TOKEN = "page_token"  # noqa: S105 - the name of a parameter

#: The documented words of `stage`, to the stage that each means.
STAGE_FILTERS = {"queued": "Queued", "executing": "Executing", "completed": "Completed", "cache_check": "CacheCheck"}

_WORKERS = ("limit", PAGE_TOKEN)
_OPERATIONS = ("stage", "worker_id", "limit", PAGE_TOKEN)
_REMEMBERED = 1_024


def no_parameters(target: Target) -> None:
    """An address that takes no parameters."""
    _single(target, ())


@lru_cache(_REMEMBERED)
def workers_query(target: Target) -> WorkersQuery:
    """What GET /api/v1/workers is asked for; all workers where nothing else is said, as documented.

    Raises:
        ProblemError: 400.
    """
    given = _single(target, _WORKERS)
    return WorkersQuery(limit=_limit(given, MAX_LIMIT), after=_after(given, WORKER_KEY_LENGTH))


@lru_cache(_REMEMBERED)
def operations_query(target: Target) -> OperationsQuery:
    """What GET /api/v1/operations is asked for.

    Raises:
        ProblemError: 400.
    """
    given = _single(target, _OPERATIONS)
    return OperationsQuery(
        OperationFilter(stages=_stages(given), worker_id=given.get("worker_id")),
        limit=_limit(given, DEFAULT_LIMIT),
        after=_after(given, OPERATION_KEY_LENGTH),
    )


def _single(target: Target, known: tuple[str, ...]) -> dict[str, str]:
    """Every parameter is known and given once."""
    given: dict[str, str] = {}
    for name, value in target.parameters:
        if name not in known:
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


def _stages(given: dict[str, str]) -> frozenset[str] | None:
    word = given.get("stage")
    if word is None:
        return None
    stage = STAGE_FILTERS.get(word.lower())
    if stage is None:
        raise bad_request(f"stage is {quoted(word)!r}: it is one of {', '.join(STAGE_FILTERS)}")
    return frozenset({stage})


def _limit(given: dict[str, str], default: int) -> int:
    text = given.get("limit")
    if text is None:
        return default
    # More digits than this are over the limit anyway, and cost more to convert than a request should.
    if text.isascii() and text.isdigit() and len(text) <= 20 and (limit := int(text)) <= MAX_LIMIT:
        return limit
    raise bad_request(f"limit is {quoted(text)!r}: it is a whole number from 0 to {MAX_LIMIT}")


def _after(given: dict[str, str], key_length: int) -> OrderKey | None:
    token = given.get(PAGE_TOKEN, "")
    try:
        return decode_token(token, key_length)
    except BadPageTokenError:
        raise bad_request(f"{PAGE_TOKEN} is {quoted(token)!r}: it is taken from the Link header of the page before") from None
