"""The address: what a person says of where the gateway is comes in, its parts go out; and the token that it is shown."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from gateway.client.problems import MistakeError

URL_VARIABLE = "NATIVELINK_GATEWAY_URL"
TOKEN_VARIABLE = "NATIVELINK_GATEWAY_TOKEN"  # noqa: S105 # the name of a variable
DEFAULT_URL = "http://127.0.0.1:50062"


def split_url(url: str) -> SplitResult:
    """Take an http or https address apart; its path is a prefix of the API's.

    Raises:
        MistakeError: it is no such address, or has more in it.
    """
    mistake = MistakeError(
        f"{_without_user(url)}: an address such as {DEFAULT_URL}, or https://HOST/PREFIX, is needed (--url or {URL_VARIABLE})"
    )
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise mistake from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port or parts.query or parts.fragment:
        raise mistake
    if not (url.isascii() and url.isprintable() and " " not in url):
        raise mistake
    if "@" in parts.netloc:
        raise MistakeError(f"{_without_user(url)}: no user and no password belong there; a token goes into {TOKEN_VARIABLE}")
    return parts


def authorization(token: str) -> str:
    """The header's value. It is for the connection alone: no message and no log has it.

    Raises:
        MistakeError: that is no token.
    """
    if not (token.isascii() and token.isprintable() and token.strip()):
        raise MistakeError(f"{TOKEN_VARIABLE}: it is empty, or has a character that no token has")
    return f"Bearer {token}"


def _without_user(url: str) -> str:
    """What a person typed, without what may be secret in it."""
    before, at, behind = url.rpartition("@")
    return f"{before.partition('//')[0]}//{behind}" if at else url
