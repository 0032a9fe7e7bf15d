import pytest

from gateway.config.section import parse_address
from gateway.config.types import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:50062", Address("127.0.0.1", 50062)),
        ("localhost:1", Address("localhost", 1)),
        ("[::1]:65535", Address("::1", 65535)),
        ("cas.example.org:443", Address("cas.example.org", 443)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", ":", "host", "host:", ":1", "host:0", "host:65536", "host:99999999999999999999", "host:-1", "host:1.0", "host:٣"),
        *("::1:80", "[host]:80", "[::1]", "[]:80", "http://host:80", "a b:80", "user@host:80", "h" * 256 + ":80"),
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    assert parse_address(text) is None
