"""Connection: a path and parameters come in, the gateway's answer goes out, or a sentence about what is in the way.

It is http.client of the standard library: a command asks one question at a time over one connection, and aiohttp or httpx would
take longer to import than the gateway to answer. No proxy and no redirect is followed, so the token goes where --url says.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from gateway.client.address import TOKEN_VARIABLE, URL_VARIABLE, authorization, split_url
from gateway.client.document import Document, NoJsonError, parse_list, parse_object
from gateway.client.problems import MistakeError, NoAnswerError, NotAsAskedError, NotReadyError, QuestionError, RefusedError

#: How long a connect may take, and then every piece of an answer.
_CONNECT_S = 5.0
_ANSWER_S = 30.0
#: A change waits for NativeLink.
_CHANGE_S = 45.0
#: Of one answer: half a million operations. More is refused.
_MOST_BYTES = 256 * 1024 * 1024

#: Arguments that are not UTF-8 are sent as the bytes that were typed; the gateway says what it thinks of them.
_AS_TYPED = "surrogateescape"

Parameters = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the gateway."""

    status: int
    #: {name in small letters: value}
    headers: Mapping[str, str]
    body: bytes
    #: Where it came from.
    url: str

    @property
    def now(self) -> float:
        """The time of the machine that answered, Unix seconds: ages are right although clocks differ."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError, OverflowError):
            return time.time()

    @property
    def total(self) -> int | None:
        """How many rows there are, on all pages."""
        text = self.headers.get("x-total-count", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None

    @property
    def age_s(self) -> int:
        """How old the state is that it shows; 0: as new as it gets."""
        text = self.headers.get("age", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0

    def rows(self) -> list[Document]:
        """A list's elements.

        Raises:
            NoAnswerError: it is no list.
        """
        try:
            return parse_list(self.body)
        except NoJsonError:
            raise _no_gateway(self.url, "its answer is no JSON list") from None

    def document(self) -> Document:
        """An object.

        Raises:
            NoAnswerError: it is none.
        """
        try:
            return parse_object(self.body)
        except NoJsonError:
            raise _no_gateway(self.url, "its answer is no JSON object") from None


class Gateway:
    """One gateway, asked over one connection that is kept. Not for two threads at once."""

    def __init__(self, url: str, token: str | None, ca_file: str | None = None) -> None:
        """Where and how to ask.

        Args:
            url: where it is, without a path of the API.
            token: what to show it, which is never told to anybody else; None: nothing.
            ca_file: who signed its certificate; None: the system knows.

        Raises:
            MistakeError: that is no address, no token, or no such file.
        """
        parts = split_url(url)
        #: As it is told to a person.
        self.url = url.rstrip("/")
        self._has_token = token is not None
        self._headers = {"Accept": "application/json", "User-Agent": "nativelink-gateway"}
        if token is not None:
            self._headers["Authorization"] = authorization(token)
        self._prefix = parts.path.rstrip("/")
        host, port = parts.hostname or "", parts.port
        self._connection = (
            HTTPSConnection(host, port, timeout=_CONNECT_S, context=_context(ca_file))
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=_CONNECT_S)
        )

    def close(self) -> None:
        """End the connection; the next question makes another."""
        self._connection.close()

    def ask(
        self,
        path: str,
        parameters: Parameters = (),
        *,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        allowed: tuple[int, ...] = (),
    ) -> Answer:
        """GET.

        Args:
            path: of the API, percent-encoded.
            parameters: names and values.
            headers: besides those that every question has.
            wait_s: what the answer was asked to wait for something.
            allowed: statuses besides success that are an answer too.

        Raises:
            MistakeError: 400.
            NotAsAskedError: 404, 409, 501, 502.
            NotReadyError: 503.
            NoAnswerError: 401, 403, anything else.
        """
        try:
            response = self._respond(path, parameters, headers or {}, _ANSWER_S + wait_s)
            body = _body(response)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        if len(body) > _MOST_BYTES:
            self.close()
            raise NoAnswerError(f"the answer of {self.url} is longer than {_MOST_BYTES} bytes: ask for less, such as --limit")
        answer = Answer(response.status, _headers(response), body, self.url)
        if answer.status not in {200, *allowed}:
            raise self._refusal(answer)
        return answer

    def change(self, path: str, body: Mapping[str, Any]) -> Answer:
        """POST, once, however often it has to be sent.

        Args:
            path: of the API, percent-encoded.
            body: what is to be done; strings that are not UTF-8 are none.

        Raises:
            QuestionError: as `ask` does, and NotAsAskedError for whatever the gateway or NativeLink does not do.
        """
        try:
            data = json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise MistakeError("an argument is not UTF-8") from None
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        try:
            response = self._respond(path, (), headers, _CHANGE_S, data)
            answer = Answer(response.status, _headers(response), _body(response), self.url)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        if answer.status != 200:
            raise self._refusal(answer)
        return answer

    def follow(
        self, path: str, parameters: Parameters, headers: Mapping[str, str], media_type: str, silence_s: float
    ) -> HTTPResponse:
        """GET what does not end, on a connection of its own; to be closed.

        Args:
            path: of the API.
            parameters: names and values.
            headers: besides those that every question has.
            media_type: what it has to be.
            silence_s: each read raises OSError where nothing comes for so long, or HTTPException.

        Raises:
            QuestionError: as `ask` does.
        """
        self.close()
        try:
            response = self._respond(path, parameters, headers, silence_s)
            if response.status == 200 and response.headers.get_content_type() == media_type:
                return response
            answer = Answer(response.status, _headers(response), _body(response), self.url)
        except (OSError, HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error
        self.close()
        if answer.status == 200:
            raise _no_gateway(self.url, f"its answer is not {media_type}")
        raise self._refusal(answer)

    def _respond(
        self, path: str, parameters: Parameters, headers: Mapping[str, str], answer_s: float, body: bytes | None = None
    ) -> HTTPResponse:
        query = urlencode(list(parameters), quote_via=quote, errors=_AS_TYPED)
        target = f"{self._prefix}{path}{'?' if query else ''}{query}"
        connection, was_open = self._connection, self._connection.sock is not None
        try:
            return self._request(target, headers, answer_s, body)
        except (ConnectionError, HTTPException):
            # A connection that was kept may have been closed meanwhile, which is no reason to complain.
            connection.close()
            if not was_open:
                raise
        return self._request(target, headers, answer_s, body)

    def _request(self, target: str, headers: Mapping[str, str], answer_s: float, body: bytes | None) -> HTTPResponse:
        connection = self._connection
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(answer_s)
        connection.request("GET" if body is None else "POST", target, body, {**self._headers, **headers})
        return connection.getresponse()

    def _unreachable(self, error: OSError | HTTPException) -> NoAnswerError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return NoAnswerError(
                f"{self.url} is not trusted: {error.verify_message}; --ca-file can name the authority of its certificate"
            )
        if isinstance(error, ssl.SSLError):
            return NoAnswerError(f"{self.url} does not speak TLS ({error.reason}): is it http://?")
        if isinstance(error, TimeoutError):
            return NoAnswerError(f"{self.url} does not answer in time")
        if isinstance(error, OSError):
            return NoAnswerError(
                f"nobody answers at {self.url} ({error.strerror or error}): start the gateway, "
                f"or say where it is, with --url or {URL_VARIABLE}"
            )
        return _no_gateway(self.url, "its answer is no HTTP, or broke off")

    def _refusal(self, answer: Answer) -> QuestionError:
        said = _said(answer)
        status = answer.status
        if status == 401:
            why = f"does not accept the token of {TOKEN_VARIABLE}" if self._has_token else "wants a token"
            do = f"put one into {TOKEN_VARIABLE}, that of `nativelink-gateway token show` or `token new` on its machine"
            return RefusedError(f"{self.url} {why}: {do}{_behind(said)}")
        if status == 403:
            return RefusedError(f"{self.url} does not let us do that{_behind(said)}")
        if 300 <= status < 400:
            where = answer.headers.get("location", "somewhere")
            return NoAnswerError(f"{self.url} says that it is elsewhere, at {where}: say so with --url or {URL_VARIABLE}")
        if said is None:
            return _no_gateway(self.url, f"it answered {status} without the API's error")
        if status == 400:
            return MistakeError(said)
        if status in {404, 409, 501, 502}:
            return NotAsAskedError(said)
        if status == 503:
            return NotReadyError(said)
        return NoAnswerError(f"{self.url} answered {status}: {said}")


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        # Also of what OpenSSL does not take for certificates.
        why = "no certificate in PEM form is in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise MistakeError(f"--ca-file: {ca_file}: {why}") from error


def encoded(part: str) -> str:
    """An id as a part of a path."""
    return quote(part, safe="", errors=_AS_TYPED)


def _body(response: HTTPResponse) -> bytes:
    """All of it, and one byte more than _MOST_BYTES at most."""
    body = response.read(_MOST_BYTES + 1)
    # What Content-Length promised; http.client does not complain of it where a size is asked for.
    if response.length and len(body) <= _MOST_BYTES:
        raise IncompleteRead(body, response.length)
    return body


def _headers(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _said(answer: Answer) -> str | None:
    """The API's own sentence."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, str) else None


def _behind(said: str | None) -> str:
    return f": {said}" if said else ""


def _no_gateway(url: str, why: str) -> NoAnswerError:
    return NoAnswerError(f"what answers at {url} is no gateway, or not its HTTP address ({why}): see --url and {URL_VARIABLE}")
