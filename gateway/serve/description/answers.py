"""Answers: what comes back from several routes, and the headers of all."""

from __future__ import annotations

from gateway.serve.description.entry import Answer, Header, Media
from gateway.serve.drains.body import BODY_MAX
from gateway.serve.encodings import CODINGS, LEAST_BYTES
from gateway.serve.lists import REVISION
from gateway.serve.problems import RETRY_AFTER_S
from gateway.serve.shape import ProblemJson
from gateway.serve.waiting import REACHED, TIMED_OUT, WAITED

JSON = "application/json"

ETAG = Header("ETag", "The same tag is the same bytes. For `If-None-Match`.", {"type": "string", "pattern": '^"[^"]+"$'})
LIST_ETAG = Header(ETAG.name, f"{ETAG.text} Not with `view=full`.", ETAG.schema)
AGE = Header("Age", "While `observe` is away: seconds since the last state that is known of it.", {"type": "integer", "minimum": 0})
CONTENT_ENCODING = Header(
    "Content-Encoding",
    f"If the client accepts one and the body has {LEAST_BYTES} bytes or more.",
    {"type": "string", "enum": [*CODINGS]},
)
ANY_ENCODING = Header(CONTENT_ENCODING.name, "If the client accepts one.", CONTENT_ENCODING.schema)
TOTAL = Header("X-Total-Count", "Rows on all pages.", {"type": "integer", "minimum": 0})
SHOWN = Header(
    REVISION,
    "The revision that the list shows, as the `id` of an event; `since` goes on from there.",
    {"type": "string", "pattern": "^[!-~]{1,300}-[0-9]{1,20}$"},
)
LINK = Header(
    "Link",
    'Where there is a next page: `<ADDRESS>; rel="next"`, without host.',
    {"type": "string", "pattern": '^<.*>; rel="next"$'},
)
WAIT_ENDED = Header(WAITED, "With `wait_for`: how the wait ended.", {"type": "string", "enum": [REACHED, TIMED_OUT]})
UNBUFFERED = Header("X-Accel-Buffering", "nginx passes on what it gets at once.", {"type": "string", "enum": ["no"]})
AUTHENTICATE = Header(
    "WWW-Authenticate",
    'What is wanted; `error="invalid_token"` where the credential is not known.',
    {"type": "string", "pattern": '^Bearer realm="nativelink-gateway"(, error="invalid_token")?$'},
)
RETRY_AFTER = Header("Retry-After", "Seconds.", {"type": "integer", "enum": [RETRY_AFTER_S]})


def success(
    media: Media, text: str = "It is there.", *, always: tuple[Header, ...] = (), perhaps: tuple[Header, ...] = ()
) -> Answer:
    """200, with JSON."""
    return Answer(200, text, {JSON: media}, always, perhaps)


def _problem(status: int, name: str, text: str, example: str, *always: Header) -> Answer:
    return Answer(status, text, {JSON: Media((ProblemJson,), ProblemJson(example))}, always, name=name)


def unchanged(*always: Header, perhaps: tuple[Header, ...] = ()) -> Answer:
    """304."""
    return Answer(304, "The client has it already (`If-None-Match`).", {}, always, perhaps)


BAD = _problem(
    400,
    "BadRequest",
    "The address says something that is not understood; the text says what would be right.",
    "Unknown parameter 'stages': did you mean stage? This address takes view, stage, worker_id, limit",
)
UNAUTHENTICATED = _problem(
    401,
    "Unauthenticated",
    "A credential is needed, or the one that is shown is not known, or not any more; also where there is no such address.",
    "The credential is not known here, or not any more",
    AUTHENTICATE,
)
FORBIDDEN = _problem(
    403,
    "Forbidden",
    "The credential is known and has not the role; also where there is no such id.",
    "This needs the role operator, which the credential has not",
)
MISSING = _problem(404, "NotFound", "Nothing has this id.", "Worker worker-123 not found")
DEFECT = _problem(500, "Defect", "A mistake of the gateway.", "Internal error; details are in the log of nativelink-gateway serve")
NOT_READY = _problem(
    503,
    "NotReady",
    "Nothing is known yet; or `view=full` is asked of an `observe` that is away; or too many wait or listen.",
    "Nothing is known yet: no snapshot came from observe (it sends nothing). Start it, or see its log",
    RETRY_AFTER,
)
LATE = _problem(504, "Late", "`view=full`: `observe` did not answer in time.", "observe did not answer within 10 s")

#: Of every route.
TO_ANYBODY = (BAD, DEFECT)
#: Of every route that has a role.
ANYWHERE = (BAD, UNAUTHENTICATED, FORBIDDEN, DEFECT)

# --- of drains --------------------------------------------------------------------------------------------------------

CONFLICT = _problem(
    409,
    "Conflict",
    "Something stands against it: another drain, which the text names; the same request under way; as many drains as can be kept.",
    "Worker worker-123 belongs to drain 0c6b2f9d41aa of workers with id prefix 'worker-': cancel that drain instead, with undrain",
)
LATE_BODY = _problem(408, "LateBody", "The body did not come in time.", "The body did not come within 10 s")
TOO_LARGE = _problem(413, "TooLarge", "The body is too large.", f"The body is larger than {BODY_MAX} bytes")
NOT_JSON = _problem(
    415,
    "NotJson",
    "The body is not said to be JSON.",
    "A change is asked for with Content-Type: application/json, in UTF-8, and without Content-Encoding",
)
KEY_REUSED = _problem(
    422,
    "KeyReused",
    "The idempotency key was used for another request.",
    "This idempotency key was used for another request: use a new one for each change",
)
NOT_OFFERED = _problem(
    501,
    "NotOffered",
    "NativeLink has no admin service, or nothing says where; the text says what to do.",
    "NativeLink has no admin service at 127.0.0.1:50161/admin (it answered 404): give its listener services: { admin: {} }, or say "
    "where it is with gateway.admin.endpoint and gateway.admin.path",
)
REFUSED = _problem(
    502,
    "Refused",
    "NativeLink refused; the text is what it said.",
    'NativeLink at 127.0.0.1:50161/admin answered 500: Error: Error { code: NotFound, messages: ["Worker not found"] }',
)
UNREACHABLE = _problem(
    503,
    "Unreachable",
    "`observe` or NativeLink is away, workers are not observed, or what is asked for cannot be written down.",
    "NativeLink's admin service at 127.0.0.1:50161/admin cannot be reached: Connection refused",
    RETRY_AFTER,
)
LATE_CHANGE = _problem(
    504,
    "LateChange",
    "`observe` did not answer in time; it may have been done.",
    "observe did not answer within 30 s; it may be done all the same: see GET /api/v1/drains",
)
