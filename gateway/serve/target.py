"""Target: the request line's address comes in, decoded path and parameters go out."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.serve.problems import bad_request


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for."""

    #: Percent-decoded: an id in it may contain any character.
    path: str
    #: Names and values, decoded, in the order of the address.
    parameters: tuple[tuple[str, str], ...]


def parse_target(raw: str) -> Target:
    """Decode a request target, in origin form or in absolute form (RFC 9112 section 3.2).

    Raises:
        ProblemError: 400, it is not UTF-8 once percent-decoded.
    """
    if not raw.startswith("/"):
        try:
            parts = urlsplit(raw)
        except ValueError:
            raise bad_request("The address cannot be read") from None
        raw_path, raw_query = parts.path or "/", parts.query
    else:
        raw_path, _, raw_query = raw.partition("?")
    try:
        path = unquote(raw_path, errors="strict")
        parameters = tuple(parse_qsl(raw_query, keep_blank_values=True, errors="strict"))
        # Bytes that were not percent-encoded arrive as surrogates where they are not UTF-8.
        raw.encode()
    except UnicodeError:
        raise bad_request("The address is not UTF-8") from None
    return Target(path, parameters)
