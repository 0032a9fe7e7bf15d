"""Numbers that documentation tells are those of the sources."""

from __future__ import annotations

import pytest

from gateway import tls
from gateway.cli import recording
from gateway.config import taps
from gateway.config.types import Retention, TapLimits
from gateway.model.retention import NS_PER_S
from gateway.observe import links
from gateway.observe.checkpoint import restore
from gateway.observe.draining import admin, coordinator, keys, register, safety
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT
from gateway.serve.drains import audit, body, file
from gateway.tap.handover import giving
from tests.docs.blocks import documents

TEXTS = {name: " ".join(text.split()) for name, text in documents()}


@pytest.mark.parametrize(
    ("document", "told", "value", "so"),
    [
        ("docs/troubleshooting.md", "`gateway.retention.completed_s`, 60 seconds", Retention().completed_s, 60),
        ("docs/troubleshooting.md", "operations are 1,000 unless", DEFAULT_LIMIT, 1_000),
        ("docs/troubleshooting.md", "asks for more, 100,000 at most", MAX_LIMIT, 100_000),
        ("docs/operations.md", "Over a second. Times", links.ASTRAY_S, 1),
        ("docs/upgrades.md", "not ready within a second", giving.PAUSE_S, 1),
        ("docs/upgrades.md", "more than a day old", restore.OLDEST_NS, 24 * 3600 * NS_PER_S),
        ("README.md", "more than a day old", restore.OLDEST_NS, 24 * 3600 * NS_PER_S),
        ("docs/taps.md", "two weeks before a certificate ends", tls._WARN_S, 14 * 24 * 3600),
        ("docs/configuration.md", "the listener's port plus 100", taps._OFFSET, 100),
        ("docs/recordings.md", "(1 GiB unless given)", recording.DEFAULT_BYTES, 1 << 30),
        ("docs/recordings.md", "--record-bytes 1073741824", recording.DEFAULT_BYTES, 1 << 30),
        ("docs/configuration.md", "`67108864`", TapLimits().ring_bytes, 67_108_864),
        ("docs/drain.md", "asked again after 1 s, then after longer, at most 60 s", register.LONGEST_WAIT_S, 60),
        ("docs/drain.md", "before a second has gone by", safety.SETTLE_NS, NS_PER_S),
        ("docs/drain.md", "A thousand drains are kept", register.DRAINS_MAX, 1_000),
        ("docs/drain.md", "after 24 hours", register.KEPT_NS, 24 * 3600 * NS_PER_S),
        ("docs/drain.md", "within 24 hours the same key", keys.KEPT_NS, 24 * 3600 * NS_PER_S),
        ("docs/drain.md", "20,000 workers may be in drains", register.TARGETS_MAX, 20_000),
        ("docs/drain.md", "10,000 idempotency keys", keys.KEYS_MAX, 10_000),
        ("docs/drain.md", "Eight calls of NativeLink", admin.CALLS_MAX, 8),
        ("docs/drain.md", "each for ten seconds at most", admin.CALL_S, 10),
        ("docs/drain.md", "waits for NativeLink for ten seconds", coordinator._ASKED_S, 10),
        ("docs/drain.md", "Bodies have 64 KiB at most", body.BODY_MAX, 64 << 10),
        ("docs/drain.md", "come within ten seconds", body.BODY_S, 10),
        ("docs/drain.md", "twenty at once and then one a second", audit.REFUSED_BURST, 20),
        ("docs/drain.md", "put away at 10 MiB", file.FILE_BYTES, 10 << 20),
        ("docs/drain.md", "five of them", file.FILES, 5),
    ],
)
def test_what_is_told_is_so(document: str, told: str, value: float, so: float) -> None:
    assert told in TEXTS[document]
    assert value == so
