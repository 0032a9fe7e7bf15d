"""The units of deploy/systemd: by systemd's own programs, and the gateway started with the sockets that they open.

The programs are Debian's packages systemd and strace.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.arguments import parse
from gateway.config.load import load_config
from gateway.config.types import Authentication, Config
from tests.command import Settings, command
from tests.deploy.programs import program
from tests.test_supervisor import livez

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "systemd"
SERVICE = DEPLOYED / "nativelink-gateway.service"
SOCKETS = sorted(DEPLOYED.glob("*.socket"))
PROGRAM = "/opt/nativelink-gateway/bin/nativelink-gateway"
#: In tenths, as --threshold= has it: 0 is no exposure, 100 is all of it.
_EXPOSURE = 15


def settings(unit: Path) -> dict[str, list[str]]:
    """Every setting of a unit, in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def single(unit: Path, name: str) -> str:
    (value,) = settings(unit)[name]
    return value


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(DEPLOYED / "gateway.json5", environment={"STATE_DIRECTORY": "/var/lib/nativelink-gateway"})


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for unit in (SERVICE, *SOCKETS):
        # What it starts has to be there.
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, sys.executable))
    units = [str(tmp_path / unit.name) for unit in (SERVICE, *SOCKETS)]
    analyze = [program("systemd-analyze", "systemd"), "verify", "--man=no", *units]
    done = subprocess.run(analyze, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_the_service_little_exposed() -> None:
    analyze = [program("systemd-analyze", "systemd"), "security", "--offline=true", f"--threshold={_EXPOSURE}", str(SERVICE)]
    done = subprocess.run(analyze, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


def test_the_service_is_no_root_and_writes_for_itself_only() -> None:
    found = settings(SERVICE)
    assert found["DynamicUser"] == found["NoNewPrivileges"] == found["MemoryDenyWriteExecute"] == ["yes"]
    assert found["UMask"] == ["0077"]
    assert found["StateDirectoryMode"] == ["0700"]
    assert found["CapabilityBoundingSet"] == [""]


def test_the_tap_is_up_before_nativelink_and_down_after_it_and_ends_after_its_own_readers(config: Config) -> None:
    assert single(SERVICE, "Before") == "nativelink.service"
    assert single(SERVICE, "Type") == "notify"
    # The signal goes to the supervisor alone, which keeps the order.
    assert single(SERVICE, "KillMode") == "mixed"
    assert int(single(SERVICE, "TimeoutStopSec")) > config.stop_timeout_s


def test_a_reload_is_the_same_command_line_and_takes_over() -> None:
    start = shlex.split(single(SERVICE, "ExecStart"))
    shell, flag, reload = shlex.split(single(SERVICE, "ExecReload"))
    assert (shell, flag, reload.endswith(" &")) == ("/bin/sh", "-c", True)
    again = shlex.split(reload.removesuffix(" &"))
    assert [each for each in again if each != "--take-over"] == start
    assert parse(again[1:]).take_over
    assert single(SERVICE, "NotifyAccess") == "all"


def test_the_sockets_are_those_of_the_configuration_under_the_names_that_the_gateway_knows(config: Config) -> None:
    opened = {single(unit, "FileDescriptorName"): single(unit, "ListenStream") for unit in SOCKETS}
    assert opened == {"http": str(config.http), **{f"tap-{tap.name}": str(tap.listen) for tap in config.taps}}
    names = " ".join(unit.name for unit in sorted(SOCKETS, key=lambda unit: list(opened).index(single(unit, "FileDescriptorName"))))
    assert set(single(SERVICE, "Sockets").split()) == set(single(SERVICE, "Also").split()) == set(names.split())
    assert {single(unit, "Service") for unit in SOCKETS} == {SERVICE.name}


def test_everybody_needs_a_credential(config: Config) -> None:
    assert config.authentication is Authentication.REQUIRED


async def test_a_request_that_came_before_the_gateway_was_started_is_answered_and_systemd_is_told(tmp_path: Path) -> None:
    activate = program("systemd-socket-activate", "systemd")
    ours = Settings(tmp_path)
    listens = {"http": ours.http, "tap-execution": ours.execution, "tap-workers": ours.workers}
    names = [single(unit, "FileDescriptorName") for unit in SOCKETS]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as waiting:
        waiting.bind(str(tmp_path / "notify"))
        arguments = [f"--listen=127.0.0.1:{listens[name]}" for name in names]
        arguments += [f"--fdname={':'.join(names)}", f"--setenv=NOTIFY_SOCKET={tmp_path / 'notify'}"]
        arguments += [sys.executable, "-P", "-m", "gateway.cli", "run", f"--config={ours.file}"]
        become = ("-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])", activate)
        async with command(*arguments, program=become) as gateway:
            await gateway.logged("Listening on", count=len(names))
            # It is what starts the gateway.
            assert await livez(ours.http) == b"HTTP/1.1 200 OK"
            await gateway.logged(f"tap workers forwards 127.0.0.1:{ours.workers}")
            assert await asyncio.get_running_loop().sock_recv(waiting, 100) == b"READY=1"
            gateway.send(signal.SIGTERM)
            assert await gateway.ended() == 0


def allowed_calls() -> set[str]:
    """What SystemCallFilter= leaves."""
    add, remove = settings(SERVICE)["SystemCallFilter"]
    return calls_of(add) - calls_of(remove.removeprefix("~"))


def calls_of(group: str) -> set[str]:
    """All system calls of one of systemd's groups."""
    analyze = [program("systemd-analyze", "systemd"), "syscall-filter", "--no-pager", group]
    done = subprocess.run(analyze, capture_output=True, text=True, check=True)  # noqa: S603
    found: set[str] = set()
    for line in done.stdout.splitlines()[1:]:
        name = line.strip()
        found |= calls_of(name) if name.startswith("@") else {name} if name and name[0] != "#" else set()
    return found


async def test_the_gateway_calls_nothing_that_the_unit_forbids_also_when_another_takes_over(tmp_path: Path) -> None:
    strace = program("strace", "strace")
    ours = Settings(tmp_path, observe={"checkpoint_interval_s": 1})
    traces = [tmp_path / "first", tmp_path / "second"]
    # -D: signals reach the gateway, whose parent strace is not.
    trace = "os.execv(sys.argv[1], [*sys.argv[1:3], '-D', '-f', '-qq', sys.executable, '-P', '-m', 'gateway.cli', *sys.argv[3:]])"
    become = f"import os, sys; {trace}"
    run = ("run", f"--config={ours.file}")
    async with (
        command(*run, program=("-c", become, strace, f"-o{traces[0]}")) as first,
        asyncio.timeout(200),
    ):
        await first.logged("introspection answers")
        await first.logged("tap workers forwards")
        await first.logged("following observe")
        assert await livez(ours.http) == b"HTTP/1.1 200 OK"
        async with command(*run, "--take-over", program=("-c", become, strace, f"-o{traces[1]}")) as second:
            await second.logged("following observe")
            assert await first.ended() == 0
            second.send(signal.SIGTERM)
            assert await second.ended() == 0
    traced = [line for trace in traces for line in trace.read_text(errors="replace").splitlines()]
    called = {found[1] for line in traced if (found := re.match(r"\d+ +(\w+)\(", line))}
    assert {"setpriority", "pidfd_open", "execve"} <= called
    # fchown is what root does, whom these tests may be (gateway.private_file); the unit's user is not.
    assert called - allowed_calls() - {"fchown"} == set()
    # ProtectSystem=strict, and a container's read-only root.
    opened = re.compile(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]+)", [^)]*O_(?:WRONLY|RDWR|CREAT)')
    written = {found[1] for line in traced if (found := opened.search(line))}
    assert {each for each in written if not Path(each).is_relative_to(ours.state_dir)} <= {"/dev/null", "/proc/self/autogroup"}
    # MemoryDenyWriteExecute=, RestrictAddressFamilies=
    assert [line for line in traced if "PROT_WRITE|PROT_EXEC" in line or ("mprotect(" in line and "PROT_EXEC" in line)] == []
    families = {found[1] for line in traced if (found := re.search(r" socket\((\w+)", line))}
    assert families <= set(single(SERVICE, "RestrictAddressFamilies").split())
