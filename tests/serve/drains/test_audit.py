"""Who changed what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.serve.authentication.caller import Caller, Kind
from gateway.serve.authentication.role import Role
from gateway.serve.drains.audit import NAME, REFUSED_BURST, REFUSED_NAME, Audit
from gateway.serve.problems import ProblemError

CALLER = Caller("ci", Kind.TOKEN, Role.OPERATOR, "192.0.2.7")


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


async def test_a_change_is_written_down_before_and_after(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    audit = Audit(tmp_path, wall=lambda: 1_640_995_200.25)
    entry = await audit.begin(CALLER, "POST", "/api/v1/drain", {"id_prefix": "ä\n\x1b[2J"})
    (before,) = lines(tmp_path / NAME)
    await entry.end(200, "0c6b2f9d41aa")
    change = before["change"]
    about = {
        "change": change,
        "name": "ci",
        "kind": "token",
        "role": "operator",
        "remote": "192.0.2.7",
        "method": "POST",
        "path": "/api/v1/drain",
        "selector": {"id_prefix": "ä\n\x1b[2J"},
    }
    time = "2022-01-01T00:00:00.250Z"
    assert lines(tmp_path / NAME) == [
        {"time": time, "event": "requested", **about},
        {"time": time, "event": "answered", **about, "status": 200, "drain": "0c6b2f9d41aa", "error": None},
    ]
    assert '"drain":"0c6b2f9d41aa"' in caplog.text
    assert "\x1b" not in caplog.text


async def test_what_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(ProblemError, match=r"the audit log cannot be written: .*audit\.log: Is a directory") as problem:
        await Audit(tmp_path).begin(CALLER, "POST", "/api/v1/drain", {})
    assert problem.value.status == 503


async def test_the_end_of_a_change_that_cannot_be_written_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    audit = Audit(tmp_path)
    entry = await audit.begin(CALLER, "POST", "/api/v1/drain", {})
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()
    await entry.end(502, error="NativeLink answered 500")
    assert '"status":502' in caplog.text
    assert "Is a directory" in caplog.text


async def test_of_a_flood_of_refused_attempts_some_are_written_and_the_others_counted(tmp_path: Path) -> None:
    now = 0.0
    audit = Audit(tmp_path, monotonic=lambda: now)
    refused = ProblemError(401, "A credential is needed")
    for _ in range(REFUSED_BURST + 10):
        await audit.refuse("192.0.2.8", "POST", "/api/v1/drain", refused)
    assert [line["unwritten"] for line in lines(tmp_path / REFUSED_NAME)] == [0] * REFUSED_BURST
    now = 1.0
    await audit.refuse("192.0.2.8", "POST", "/" + "x" * 1_000, refused)
    last = lines(tmp_path / REFUSED_NAME)[-1]
    assert (last["unwritten"], last["status"], last["remote"], last["event"]) == (10, 401, "192.0.2.8", "refused")
    assert len(last["path"]) < 300
    assert not (tmp_path / NAME).exists()


async def test_a_refused_attempt_that_cannot_be_written_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / REFUSED_NAME).mkdir()
    await Audit(tmp_path).refuse(None, "POST", "/api/v1/drain", ProblemError(403, "no"))
    assert "Is a directory" in caplog.text
