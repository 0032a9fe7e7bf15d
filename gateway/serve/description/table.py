"""The table of all routes: one entry each. `gateway.serve.routes` gives each its handler; what describes the API reads it here.

A parameter that nobody explains (`questions`) keeps the process from starting, and so the tests from passing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.serve import parameters
from gateway.serve.description import examples
from gateway.serve.description.answers import (
    AGE,
    ANY_ENCODING,
    ANYWHERE,
    CONTENT_ENCODING,
    ETAG,
    JSON,
    LATE,
    LINK,
    LIST_ETAG,
    MISSING,
    NOT_READY,
    SHOWN,
    TO_ANYBODY,
    TOTAL,
    UNBUFFERED,
    WAIT_ENDED,
    success,
    unchanged,
)
from gateway.serve.description.drain_table import DRAIN_ROUTES
from gateway.serve.description.entry import Answer, Media, Route
from gateway.serve.description.index import IndexJson, route_json
from gateway.serve.description.questions import ACCEPT_ENCODING, IF_NONE_MATCH, LAST_EVENT_ID, WORKERS_LIMIT, questions
from gateway.serve.events.wire import MEDIA_TYPE
from gateway.serve.shape import HealthJson, MetricsJson, OperationJson, ProbeJson, StatusJson, WorkerJson
from gateway.serve.shape_full import OperationDetailJson, WorkerDetailJson

#: All, in the order in which they are shown.
ROUTES: list[Route] = []


def _add(route: Route) -> Route:
    ROUTES.append(route)
    return route


def _full(name: str, text: str, basic: type[msgspec.Struct], detail: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """What `view=full` shows: the documented fields, then the others."""
    fields = [(each.name, each.type) for part in (basic, detail) for each in msgspec.structs.fields(part)]
    return msgspec.defstruct(name, fields, namespace={"__doc__": text})


_WORKER_FULL = _full("WorkerFullJson", "A worker with `view=full`.", WorkerJson, WorkerDetailJson)
_WORKER_BODY = Media((WorkerJson, _WORKER_FULL), examples.WORKER)
_WORKERS_BODY = Media(_WORKER_BODY.types, [examples.WORKER], is_list=True)
_OPERATION_FULL = _full("OperationFullJson", "An operation with `view=full`.", OperationJson, OperationDetailJson)
_OPERATION_BODY = Media((OperationJson, _OPERATION_FULL), examples.OPERATION)
_OPERATIONS_BODY = Media(_OPERATION_BODY.types, [examples.OPERATION], is_list=True)
_LIST_PERHAPS = (AGE, LIST_ETAG, LINK, CONTENT_ENCODING)
_LIST_TEXT = (
    "With `view=full` everything that is known of each is asked of `observe` at that moment, without an entity tag. "
    "Rows that come or go between two pages make no other be on both or on none."
)

# --- monitoring-api.md ------------------------------------------------------------------------------------------------

WORKERS = _add(
    Route(
        "/api/v1/workers",
        "listWorkers",
        "workers",
        "All connected workers, by when they connected.",
        (
            success(_WORKERS_BODY, "A page of them.", always=(TOTAL, SHOWN), perhaps=_LIST_PERHAPS),
            unchanged(ETAG, SHOWN, perhaps=(AGE,)),
            *ANYWHERE,
            NOT_READY,
            LATE,
        ),
        _LIST_TEXT,
        questions(parameters.WORKERS, WORKERS_LIMIT),
        (IF_NONE_MATCH, ACCEPT_ENCODING),
    )
)
WORKER = _add(
    Route(
        "/api/v1/workers/{id}",
        "getWorker",
        "workers",
        "One worker.",
        (
            success(_WORKER_BODY, always=(ETAG,), perhaps=(AGE,)),
            unchanged(ETAG, perhaps=(AGE,)),
            *ANYWHERE,
            MISSING,
            NOT_READY,
            LATE,
        ),
        parameters=questions(parameters.ENTITY),
        headers=(IF_NONE_MATCH,),
        example_id=examples.WORKER.id,
    )
)
OPERATIONS = _add(
    Route(
        "/api/v1/operations",
        "listOperations",
        "operations",
        "Operations, what is executed first, then the queue in its order, then what completed, the latest first.",
        (
            success(_OPERATIONS_BODY, "A page of them.", always=(TOTAL, SHOWN), perhaps=_LIST_PERHAPS),
            unchanged(ETAG, SHOWN, perhaps=(AGE,)),
            *ANYWHERE,
            NOT_READY,
            LATE,
        ),
        f"Filters hold all at once. {_LIST_TEXT}",
        questions(parameters.OPERATIONS),
        (IF_NONE_MATCH, ACCEPT_ENCODING),
    )
)
OPERATION = _add(
    Route(
        "/api/v1/operations/{id}",
        "getOperation",
        "operations",
        "One operation, by any of its ids; it can be waited for.",
        (
            success(_OPERATION_BODY, always=(ETAG,), perhaps=(AGE, WAIT_ENDED)),
            unchanged(ETAG, perhaps=(AGE, WAIT_ENDED)),
            *ANYWHERE,
            MISSING,
            NOT_READY,
            LATE,
        ),
        "The id may have the instance name and a slash before it. docs/events.md has the rules of waiting.",
        questions(parameters.OPERATION),
        (IF_NONE_MATCH,),
        "op-456",
    )
)
STATUS = _add(
    Route(
        "/api/v1/scheduler/status",
        "getStatus",
        "scheduler",
        "How many workers and operations there are.",
        (success(Media((StatusJson,), examples.STATUS), "What is known of them.", perhaps=(AGE,)), *ANYWHERE, NOT_READY),
    )
)
METRICS = _add(
    Route(
        "/api/v1/scheduler/metrics",
        "getMetrics",
        "scheduler",
        "The same numbers in two groups.",
        (success(Media((MetricsJson,), examples.METRICS), "What is known of them.", perhaps=(AGE,)), *ANYWHERE, NOT_READY),
        "Those for Prometheus are at /metrics.",
    )
)
HEALTH = _add(
    Route(
        "/api/v1/system/health",
        "getHealth",
        "system",
        "Whether the answers can be trusted, and what a person should do.",
        (
            success(Media((HealthJson,), examples.HEALTH), "They can, or `degraded` and `reasons` say how far."),
            *ANYWHERE,
            Answer(503, "They cannot.", {JSON: Media((HealthJson,), examples.UNHEALTHY)}),
        ),
    )
)

# --- more -------------------------------------------------------------------------------------------------------------

EVENTS = _add(
    Route(
        "/api/v1/events",
        "listen",
        "events",
        "Every change as it happens, as server-sent events.",
        (
            Answer(200, "A stream without an end.", {MEDIA_TYPE: Media((str,), examples.EVENTS)}, always=(UNBUFFERED,)),
            *ANYWHERE,
            NOT_READY,
        ),
        "docs/events.md has the events, and how to go on after one. A filter is about its own kind.",
        questions(parameters.EVENTS),
        (LAST_EVENT_ID,),
    )
)
ROUTES += DRAIN_ROUTES
EXPOSITION = _add(
    Route(
        "/metrics",
        "scrape",
        "system",
        "Everything for Prometheus, in its text format or OpenMetrics.",
        (
            Answer(
                200,
                "Values of one moment; docs/metrics.md has all of them.",
                {
                    "text/plain": Media((str,), examples.EXPOSITION),
                    "application/openmetrics-text": Media((str,), f"{examples.EXPOSITION}# EOF\n"),
                },
                perhaps=(ANY_ENCODING,),
            ),
            *ANYWHERE,
        ),
        "`Accept` chooses the format.",
        headers=(ACCEPT_ENCODING,),
    )
)
LIVEZ = _add(
    Route(
        "/livez",
        "isAlive",
        "system",
        "200 while the process answers.",
        (success(Media((ProbeJson,), examples.ALIVE), "It does."), *TO_ANYBODY),
        role=None,
    )
)
READYZ = _add(
    Route(
        "/readyz",
        "isReady",
        "system",
        "200 once there is something to answer with.",
        (success(Media((ProbeJson,), examples.READY), "There is."), *TO_ANYBODY, NOT_READY),
        role=None,
    )
)
OPENAPI = _add(
    Route(
        "/api/v1/openapi.json",
        "getDescription",
        "system",
        "This description, as OpenAPI 3.1.",
        (
            success(Media((dict[str, Any],), {"openapi": "3.1.0"}), "The document.", always=(ETAG,), perhaps=(CONTENT_ENCODING,)),
            unchanged(ETAG),
            *ANYWHERE,
        ),
        headers=(IF_NONE_MATCH, ACCEPT_ENCODING),
    )
)
INDEX = _add(
    Route(
        "/api/v1",
        "getIndex",
        "system",
        "All routes, for a person with curl.",
        (
            success(
                Media((IndexJson,), IndexJson(OPENAPI.path, [route_json(WORKERS)])),
                "They are.",
                always=(ETAG,),
                perhaps=(CONTENT_ENCODING,),
            ),
            unchanged(ETAG),
            *ANYWHERE,
        ),
        headers=(IF_NONE_MATCH, ACCEPT_ENCODING),
    )
)
