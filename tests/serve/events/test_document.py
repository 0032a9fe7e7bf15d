"""docs/events.md against what is so."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.serve import waiting
from gateway.serve.events import log, publisher, stream, wire
from gateway.serve.parameters import DEFAULT_WAIT_S, KINDS, MAX_WAIT_S, WAIT_FOR

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([\w-]+)`", DOCUMENT))
TEXT = " ".join(DOCUMENT.split())


def test_every_event_and_reason_and_kind_is_explained() -> None:
    told = set(re.findall(r"^event: (\w+)$", (ROOT / "tests" / "golden" / "events.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert {
        "snapshot",
        "reset",
        "worker",
        "worker_removed",
        "operation",
        "operation_removed",
        "scheduler",
        "health",
        "drain",
    } == told
    assert told | set(wire.RESETS) | set(KINDS) <= WORDS


def test_the_bounds_are_those_that_are_stated() -> None:
    assert f"The last {log.KEPT_ENTRIES:,} changes, or {log.KEPT_BYTES >> 20} MiB" in TEXT
    assert f"Every {publisher.HEARTBEAT_S:g} seconds" in TEXT
    walk, each, most = (f"{seconds * 1_000:g} ms" for seconds in (publisher.WALK_S, publisher.WALK_CLIENT_S, publisher.WALK_MAX_S))
    assert f"every {walk}, plus {each} for each client, at most every {most}" in TEXT
    assert f"At most {publisher.CLIENTS_MAX:,} clients listen" in TEXT
    assert f"{stream.CLIENT_BYTES >> 10} KiB wait" in TEXT
    assert f"takes nothing for {stream.STALLED_S:g} s" in TEXT
    assert f"retry: {wire.RETRY_MS}" in DOCUMENT
    assert f"(0 to {MAX_WAIT_S}; {DEFAULT_WAIT_S:g} unless given)" in TEXT
    assert f"At most {waiting.WAITING_MAX:,} requests wait" in TEXT
    assert {waiting.REACHED, waiting.TIMED_OUT, waiting.WAITED} <= WORDS
    assert all(f"wait_for={word}" in TEXT for word in WAIT_FOR)
