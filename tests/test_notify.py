from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gateway.notify import notify


def test_words_go_to_who_waits_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abstract = f"gateway-test-{os.getpid()}"
    for address, name in ((str(tmp_path / "notify"), str(tmp_path / "notify")), (f"\0{abstract}", f"@{abstract}")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
            waiting.bind(address)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            notify("READY=1", "MAINPID=5")
            assert waiting.recv(100) == b"READY=1\nMAINPID=5"


def test_where_nobody_waits_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    notify("READY=1")
