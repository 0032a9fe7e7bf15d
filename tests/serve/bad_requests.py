"""Bad requests, as bytes, by family: what scanners, broken proxies and people with bad intentions send."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote_from_bytes

from gateway.serve.description.entry import Route
from gateway.serve.description.table import ROUTES

#: Whoever answers this has taken the body of one request for another.
SMUGGLED = b"/smuggled-request"
_SECOND = b"GET " + SMUGGLED + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
_LISTS = ("/api/v1/workers", "/api/v1/operations")
_WORD = "secret-of-nobody"


def families() -> dict[str, list[bytes]]:
    """{what is wrong with them: requests}"""
    return {
        "smuggling": list(_smuggling()),
        "framing": list(_framing()),
        "traversal": list(_traversal()),
        "oversized": list(_oversized()),
        "wrong values": list(_wrong_values()),
        "bytes that are no text": list(_no_text()),
        "methods": list(_methods()),
        "no http": list(_no_http()),
        "injection": list(_injection()),
    }


def _request(target: str | bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    raw = target if isinstance(target, bytes) else target.encode()
    head = b"\r\n".join([method + b" " + raw + b" HTTP/1.1", b"Host: localhost", *headers])
    return head + b"\r\n\r\n" + body


def _smuggling() -> Iterator[bytes]:
    """Bodies whose length two readers may understand differently, with a request in what one of them takes for the body."""
    lengths = (b"0", b"1", b"%d" % len(_SECOND), b"%d" % (len(_SECOND) + 5))
    chunked = b"0\r\n\r\n" + _SECOND
    for name in (b"GET", b"POST", b"HEAD", b"PUT"):
        for length in lengths:
            for coding in (
                b"chunked",
                b"Chunked",
                b"xchunked",
                b"chunked, identity",
                b"identity",
                b"\tchunked",
                b'"chunked"',
                b"chunked;q=1",
            ):
                both = (b"Content-Length: " + length, b"Transfer-Encoding: " + coding)
                yield _request("/livez", *both, method=name, body=chunked)
                yield _request("/livez", *reversed(both), method=name, body=chunked)
            yield _request("/livez", b"Content-Length: 0", b"Content-Length: " + length + b"1", method=name, body=_SECOND)
        for bad in (b"-1", b"+4", b"0x4", b"4 4", b"4,4", b"4, 5", b"1e1", b"", b"\xd9\xa4", b"9" * 40, b"4;", b"four"):
            yield _request("/livez", b"Content-Length: " + bad, method=name, body=_SECOND)
        for header in (
            b"Transfer-Encoding : chunked",
            b" Transfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\n identity",
            b"Transfer-Encoding:\r\n chunked",
            b"Transfer-Encoding: chun\x00ked",
            b"Transfer-Encoding: chun\x0bked",
            b"Transfer\x00-Encoding: chunked",
            b"X: a\rTransfer-Encoding: chunked",
            b"X: a\nTransfer-Encoding: chunked",
            b"Content-Length : 4",
            b"Content-Length: 4\r\n 4",
            b"Content-Length\x00: 4",
        ):
            yield _request("/livez", header, method=name, body=chunked)
        for size in (b"zz", b"-1", b"+1", b"0x1", b"1 1", b"", b"g", b"f" * 17, b"\xff", b"1;\n", b"1\n", b"1\r"):
            yield _request("/livez", b"Transfer-Encoding: chunked", method=name, body=size + b"\r\nx\r\n" + chunked)


def _framing() -> Iterator[bytes]:
    """Heads that RFC 9112 does not allow."""
    good = b"GET /api/v1/workers HTTP/1.1"
    yield good + b"\r\n\r\n"  # without Host
    yield good + b"\nHost: localhost\n\n"
    yield good + b"\r\r\n\r\n"
    for line in (
        b"Host: other",
        b": no-name",
        b"no-colon",
        b"X y: z",
        b"X\x7f: z",
        b"X(: z",
        b"X: a\r\n b",
        b"X: a\x00b",
        b"X: a\rb",
        b"X: a\nb",
        b"\x00",
        b"X:\x01",
    ):
        yield good + b"\r\nHost: localhost\r\n" + line + b"\r\n\r\n"
        yield good + b"\r\n" + line + b"\r\nHost: localhost\r\n\r\n"
    for version in (
        b"HTTP/1.",
        b"HTTP/.1",
        b"HTTP/11",
        b"HTTP/1.1.1",
        b"http/1.1",
        b"HTTP/-1.1",
        b"HTTP/9.9",
        b"HTP/1.1",
        b"HTTP /1.1",
        b"\xff",
    ):
        yield b"GET /api/v1/nothing " + version + b"\r\nHost: localhost\r\n\r\n"


def _traversal() -> Iterator[bytes]:
    """Paths to what is none of ours; there are no files behind an address, and nothing is decoded twice."""
    steps = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "%252e%252e%252f",
        "..;/",
        "....//",
        "..%00/",
        "%c0%ae%c0%ae/",
        "..%c0%af",
    )
    places = ("etc/passwd", "proc/self/environ", "tokens.json", "audit.log", "gateway/serve/routes.py", ".git/config", "%00", "")
    for base in ("/", "/api/", "/docs/", "/api/v1/x/"):
        for step in steps:
            for place in places:
                yield _request(base + step * 4 + place)


def _oversized() -> Iterator[bytes]:
    """More of anything than is taken."""
    for path in ("/livez", *_LISTS):
        yield _request(f"{path}?x={'a' * 9_000}")
        yield _request(path, b"X-Long: " + b"a" * 9_000)
        yield _request(path, b"X" * 9_000 + b": a")
        yield _request(path, *(b"X-%d: a" % number for number in range(200)))
        yield _request(f"{path}?{'&'.join(f'p{number}=1' for number in range(1_000))}")
        yield _request(f"{path}?{'&' * 8_000}x=1")
        yield _request(path, b"Content-Length: 99999999999999", method=b"POST", body=b"x")
        yield _request(path, b"Transfer-Encoding: chunked", method=b"POST", body=b"7fffffff\r\nx")
    yield _request("/" + "a/" * 4_500)
    yield b"G" * 9_000 + b" /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _wrong_values() -> Iterator[bytes]:
    """Every parameter of every route, with what no parameter takes; each has an unknown one besides."""
    values = (
        "",
        "-1",
        "1.5",
        "1e9",
        "NaN",
        "99999999999999999999",
        "null",
        "true",
        "[]",
        "{}",
        "'",
        "%00",
        "%0d%0a",
        "%20",
        "..",
        "a" * 2_000,
        "%F0%9F%98%80",
    )
    for route in ROUTES:
        path = _path(route)
        for parameter in route.parameters:
            for value in values:
                yield _request(f"{path}?{parameter.name}={value}&no_such_parameter=1", method=_method(route))
        yield _request(f"{path}?no_such_parameter={_WORD}", method=_method(route))


def _no_text() -> Iterator[bytes]:
    """Bytes that are not UTF-8, are it in a longer form than allowed, or are control characters."""
    wrong = (b"\xff", b"\xfe\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xc3")
    for bad in wrong:
        for path in (*_LISTS, "/api/v1/nothing"):
            for each in (bad, quote_from_bytes(bad).encode()):
                yield _request(f"{path}/".encode() + each)
                yield _request(f"{path}?stage=".encode() + each)
                yield _request(f"{path}?".encode() + each + b"=1")
    for control in range(0x20):
        yield _request(b"/api/v1/nothing/" + bytes([control]))
        yield _request(f"/api/v1/nothing/%{control:02x}")


def _methods() -> Iterator[bytes]:
    """Methods that a route does not have, and those that nobody has."""
    for route in ROUTES:
        for method in (b"PUT", b"PATCH", b"DELETE", b"TRACE", b"PROPFIND"):
            yield _request(_path(route), method=method)
    for method in (b"get", b"GETT", b"G\x00T", b"", b"\xff", b"G E T", b"M" * 300):
        yield _request("/api/v1/workers", method=method)
    yield b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _no_http() -> Iterator[bytes]:
    """Other protocols, and targets in other forms."""
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32 + b"\r\n\r\n"
    yield b"SSH-2.0-OpenSSH_9.2\r\n\r\n"
    yield b"*1\r\n$4\r\nPING\r\n\r\n"
    yield b'{"method": "GET"}\r\n\r\n'
    yield b"\x00" * 64 + b"\r\n\r\n"
    for target in (
        b"http://",
        b"http://[",
        b"http://[::1",
        b"http://a:b/x",
        b"ftp://a/b",
        b"file:///etc/passwd",
        b"localhost:80",
        b"*",
        b"//a/b",
        b"a",
        b"?x",
        b"#x",
        b"javascript:1",
    ):
        yield _request(target)


def _injection() -> Iterator[bytes]:
    """Ids and names that come back in errors, and headers that are looked at."""
    for path in (*_LISTS, "/api/v1"):
        for text in (
            "%0d%0aSet-Cookie:%20a=b",
            "%0aX:%20y",
            "<script>alert(1)</script>",
            "%22}%2c{%22",
            "%27%20OR%201=1",
            "${jndi:ldap://a}",
            "{{7*7}}",
            "%s%n%x",
            "$(id)",
            "|id",
        ):
            yield _request(f"{path}/no-such-{text.replace(' ', '%20')}")
            yield _request(f"{path}?no_such_{text.replace(' ', '%20')}=1")
    for header in (
        b"If-None-Match: ",
        b"Accept: ",
        b"Accept-Encoding: ",
        b"Last-Event-ID: ",
        b"Authorization: ",
        b"Connection: ",
        b"Expect: ",
    ):
        for value in (
            b"\xff",
            b'"',
            b"a" * 4_000,
            b",,,;;;",
            b"q=q;q=9",
            b"*" * 100,
            b"Bearer",
            b"Bearer \xff",
            b"Basic !!!",
            b"gzip;q=-1",
        ):
            yield _request("/api/v1/no-such", header + value)
    for coding in (b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"nonsense"):
        yield _request("/api/v1/no-such", b"Content-Encoding: " + coding, b"Content-Length: 3", method=b"POST", body=b"abc")


def _path(route: Route) -> str:
    return route.path.replace("{id}", "no-such-id")


def _method(route: Route) -> bytes:
    return route.method.encode()
