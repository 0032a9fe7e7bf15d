"""The routes of drains, as `table` has the others. docs/drain.md says how they are used."""

from __future__ import annotations

from gateway.serve.authentication.role import Role
from gateway.serve.description import examples
from gateway.serve.description.answers import (
    ANYWHERE,
    CONFLICT,
    KEY_REUSED,
    LATE_BODY,
    LATE_CHANGE,
    MISSING,
    NOT_JSON,
    NOT_OFFERED,
    REFUSED,
    TOO_LARGE,
    UNREACHABLE,
    success,
)
from gateway.serve.description.entry import Media, Route
from gateway.serve.description.questions import IDEMPOTENCY_KEY
from gateway.serve.drains.body import CancelJson, DrainRequestJson, NothingJson
from gateway.serve.drains.shape import DrainFullJson, DrainJson, UndrainedJson

_ASKED = (*ANYWHERE, NOT_OFFERED, REFUSED, UNREACHABLE, LATE_CHANGE)
_CHANGED = (*_ASKED, LATE_BODY, CONFLICT, TOO_LARGE, NOT_JSON, KEY_REUSED)
_NOTHING = Media((NothingJson,), {})
_DRAIN = success(Media((DrainFullJson,), examples.DRAIN_FULL), "As far as it is; it goes on.")
_WRITTEN_DOWN = "It is written down in `audit.log` of `gateway.state_dir` before it is done."

DRAIN_WORKER = Route(
    "/api/v1/workers/{id}/drain",
    "drainWorker",
    "drains",
    "A worker gets no more work, until it is no longer connected.",
    (_DRAIN, *_CHANGED, MISSING),
    f"When it reconnects it has another id, and gets work. {_WRITTEN_DOWN}",
    headers=(IDEMPOTENCY_KEY,),
    example_id=examples.WORKER.id,
    method="POST",
    role=Role.OPERATOR,
    body=_NOTHING,
)
UNDRAIN_WORKER = Route(
    "/api/v1/workers/{id}/undrain",
    "undrainWorker",
    "drains",
    "A worker gets work again.",
    (success(Media((UndrainedJson,), examples.UNDRAINED), "It does."), *_CHANGED, MISSING),
    f"A drain of this worker alone is cancelled by it; where another drain is about it, that has to be cancelled. {_WRITTEN_DOWN}",
    headers=(IDEMPOTENCY_KEY,),
    example_id=examples.WORKER.id,
    method="POST",
    role=Role.OPERATOR,
    body=_NOTHING,
)
DRAIN = Route(
    "/api/v1/drain",
    "drainWorkers",
    "drains",
    "Workers get no more work, those that are connected and those that connect until it is cancelled.",
    (_DRAIN, *_CHANGED),
    f"An active drain of the same workers is the answer, if there is one. {_WRITTEN_DOWN}",
    headers=(IDEMPOTENCY_KEY,),
    method="POST",
    role=Role.OPERATOR,
    body=Media((DrainRequestJson,), {"id_prefix": "worker-"}),
)
CANCEL = Route(
    "/api/v1/drains/{id}/cancel",
    "cancelDrain",
    "drains",
    "An active drain ends.",
    (_DRAIN, *_CHANGED, MISSING),
    f"With `undrain` its workers get work again, but for those that another active drain is about. {_WRITTEN_DOWN}",
    headers=(IDEMPOTENCY_KEY,),
    example_id=examples.DRAIN.id,
    method="POST",
    role=Role.OPERATOR,
    body=Media((CancelJson,), {"undrain": True}),
)
DRAINS = Route(
    "/api/v1/drains",
    "listDrains",
    "drains",
    "Active drains and those that ended within 24 hours, the latest first, a thousand at most.",
    (success(Media((DrainJson,), [examples.DRAIN], is_list=True), "All of them."), *_ASKED),
)
ONE_DRAIN = Route(
    "/api/v1/drains/{id}",
    "getDrain",
    "drains",
    "One drain, with its workers.",
    (_DRAIN, *_ASKED, MISSING),
    example_id=examples.DRAIN.id,
)
#: In the order in which they are shown.
DRAIN_ROUTES = (DRAIN_WORKER, UNDRAIN_WORKER, DRAIN, DRAINS, ONE_DRAIN, CANCEL)
