import re
from pathlib import Path

import pytest

from gateway.config.types import HttpOptions
from gateway.serve.connections import limits

DOCUMENT = Path(__file__).parents[2] / "docs" / "limits.md"
OPTIONS = HttpOptions()


def row(beginning: str) -> str:
    (found,) = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| {beginning}")]
    return found


@pytest.mark.parametrize(
    ("beginning", "numbers"),
    [
        ("request line, and one header", [limits.LINE_BYTES]),
        ("headers |", [limits.HEADERS]),
        ("request line and headers together", [limits.HEAD_BYTES]),
        ("until a head is complete", [limits.HEAD_S]),
        ("until a TLS handshake is complete", [limits.HEAD_S]),
        ("request that a connection repeats", [limits.KNOWN_BYTES]),
        ("body of a request", [limits.BODY_BYTES]),
        ("rest of a body", [limits.LINGER_S]),
        ("requests behind", [limits.PIPELINED]),
        ("bytes that the kernel takes", [limits.RECEIVE_BYTES]),
        ("until an answer is taken", [limits.TAKE_S]),
        ("until what is left of an answer", [limits.CLOSE_S]),
        ("answers that are being taken", [limits.UNTAKEN_BYTES]),
        ("idle connection", [limits.KEEP_ALIVE_S]),
        ("connections of a peer", [OPTIONS.connections_per_peer, limits.RETRY_AFTER_S]),
        (
            "connections in all",
            [OPTIONS.connections, limits.RESERVED_DESCRIPTORS + limits.TURNED_AWAY, limits.RETRY_AFTER_S],
        ),
        ("connections that are being refused", [limits.TURNED_AWAY, limits.TURNED_AWAY_S]),
        ("no descriptor", [limits.ACCEPT_AGAIN_S]),
    ],
)
def test_every_number_of_the_table_is_the_constant(beginning: str, numbers: list[float]) -> None:
    # Statuses, and the count of a connection itself, are no limits.
    limit_and_over = row(beginning).split("|", 2)[2]
    found = [float(each) for each in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)", limit_and_over)]
    assert [each for each in found if each not in {400, 408, 413, 429, 431, 503}] == [float(each) for each in numbers]


def test_the_table_has_no_row_more() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 18 + 2
