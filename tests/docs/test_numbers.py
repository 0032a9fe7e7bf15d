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
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT
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
    ],
)
def test_what_is_told_is_so(document: str, told: str, value: float, so: float) -> None:
    assert told in TEXTS[document]
    assert value == so
