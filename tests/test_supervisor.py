import asyncio
import json
import os
import re
import resource
import signal
import stat
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.command import PATIENCE_S, Settings, command, connects, finished, free_ports, is_alive

_ROLES = ("tap", "observe", "serve")


async def gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while is_alive(pid):  # noqa: ASYNC110 # the end of a process that is no child sets no event
            await asyncio.sleep(0.02)


async def livez(port: int) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n")[0]


async def test_a_killed_role_comes_back_while_connects_wait_and_a_spoilt_file_changes_nothing(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    async with command("run", "--config", str(settings.file)) as gateway:
        first = {role: await gateway.pid_of(role) for role in _ROLES}
        assert await livez(settings.http) == b"HTTP/1.1 200 OK"
        settings.file.write_text("{ spoilt")
        os.kill(first["tap"], signal.SIGSTOP)
        os.kill(first["tap"], signal.SIGKILL)
        assert await connects(settings.execution)
        await gateway.logged(rf"role tap \(pid {first['tap']}\) was ended by SIGKILL after [0-9.]+ s: starting it again at once")
        os.kill(first["serve"], signal.SIGKILL)
        # Asked while nobody serves: the answer waits for the next life.
        assert await livez(settings.http) == b"HTTP/1.1 200 OK"
        await gateway.logged(
            rf"role serve \(pid {first['serve']}\) was ended by SIGKILL after [0-9.]+ s: starting it again in 0.5 s"
        )
        second = {role: await gateway.pid_of(role, life=2) for role in ("tap", "serve")}
        await gateway.logged("tap workers forwards", count=2)
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0
        assert not any(is_alive(pid) for pid in (*first.values(), *second.values()))
        assert not await connects(settings.workers)


async def test_roles_stop_in_the_order_serve_observe_tap_at_ctrl_c(tmp_path: Path) -> None:
    async with command("run", "--config", str(Settings(tmp_path).file)) as gateway:
        for up in ("answering on", "introspection answers at", "tap workers forwards"):
            await gateway.logged(up)
        gateway.send(signal.SIGINT)
        assert await gateway.ended() == 0
        ends = await gateway.logged(r"role (\w+) \(pid \d+\) (ended|was ended)", count=3)
        assert [each[1] for each in ends] == ["serve", "observe", "tap"]
        await gateway.logged("stopped")


def niceness(pid: int) -> int:
    """proc(5): the 19th field of stat."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


async def test_where_the_machine_is_busy_the_tap_goes_first_and_serve_last(tmp_path: Path) -> None:
    async with command("run", "--config", str(Settings(tmp_path).file)) as gateway:
        for up in ("answering on", "introspection answers at", "tap workers forwards"):
            await gateway.logged(up)
        pids = {role: await gateway.pid_of(role) for role in _ROLES}
        own = niceness(gateway.pid)
        expected = {"tap": own, "observe": min(own + 5, 19), "serve": min(own + 10, 19)}
        assert {role: niceness(pid) for role, pid in pids.items()} == expected
        autogroups = {role: Path(f"/proc/{pid}/autogroup") for role, pid in pids.items()}
        if all(each.exists() for each in autogroups.values()):
            assert {role: each.read_text().split()[-1] for role, each in autogroups.items()} == {
                "tap": "0",
                "observe": "5",
                "serve": "10",
            }


def is_stopped(pid: int) -> bool:
    """proc(5): the third field of stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def stopped(pid: int) -> None:
    """Waits: of two signals that a process has not seen yet, SIGTERM comes first."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_stopped(pid):  # noqa: ASYNC110 # no event is set by it
            await asyncio.sleep(0.01)


async def test_a_role_that_hangs_is_killed_in_the_end(tmp_path: Path) -> None:
    # A tenth of it is left to the supervisor when it kills the tap; SIGALRM would end it after that.
    async with command("run", "--config", str(Settings(tmp_path, stop_timeout_s=10).file)) as gateway:
        tap = await gateway.pid_of("tap")
        os.kill(tap, signal.SIGSTOP)
        await stopped(tap)
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0
        await gateway.logged(rf"role tap \(pid {tap}\) did not stop in time: killing it")
        assert not is_alive(tap)


async def test_the_roles_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    async with command("run", "--config", str(settings.file)) as gateway:
        pids = [await gateway.pid_of(role) for role in _ROLES]
        await gateway.logged("tap workers forwards")
        await gateway.logged("answering on")
        gateway.send(signal.SIGKILL)
        await gateway.ended()
        for pid in pids:
            await gone(pid)
    async with command("run", "--config", str(settings.file)) as successor:
        await successor.logged("tap workers forwards")


async def test_a_second_gateway_on_the_same_state_dir_is_refused(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    same_place = Settings(other, state_dir=str(settings.state_dir))
    async with command("run", "--config", str(settings.file)) as gateway:
        await gateway.logged("tap workers forwards")
        code, _, said = await finished("run", "--config", str(same_place.file))
        in_use = f"in use by another gateway (pid {gateway.pid}, lock): stop that one, or choose another"
        assert (code, said) == (1, f"nativelink-gateway run: gateway.state_dir: {settings.state_dir}: {in_use}\n")
        code, _, said = await finished("tap", "--config", str(same_place.file))
        assert (code, "tap-0.lock" in said) == (1, True)


async def test_several_tap_processes_share_their_ports_and_nobody_elses(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tap={"processes": 2})
    (tmp_path / "other").mkdir()
    other = Settings(tmp_path / "other", tap={"processes": 2})
    other.file.write_text(other.file.read_text().replace(f":{other.workers}", f":{settings.workers}"))
    async with command("run", "--config", str(settings.file)) as gateway:
        pids = [await gateway.pid_of(role) for role in ("tap 0", "tap 1", "observe", "serve")]
        await gateway.logged("tap workers forwards", count=2)
        await gateway.logged("introspection answers")
        await gateway.logged("answering on")
        assert await connects(settings.workers)
        code, _, said = await finished("run", "--config", str(other.file))
        assert (code, f"gateway.taps[workers].listen: 127.0.0.1:{settings.workers}: Address already in use" in said) == (1, True)
        os.kill(pids[1], signal.SIGKILL)
        await gateway.pid_of("tap 1", life=2)
        await gateway.logged("tap workers forwards", count=3)
        code, _, said = await finished("run", "--take-over", "--config", str(settings.file))
        assert (code, "only one tap process can be taken over" in said) == (1, True)
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0
        ends = await gateway.logged(r"role (\w+)[ 0-9]* \(pid \d+\) ended", count=4)
        assert [each[1] for each in ends] == ["serve", "observe", "tap", "tap"]


async def asked(port: int, address: str, headers: str = "") -> bytes:
    """A whole answer on a connection of its own; one that is cut by the end of a process is asked for again."""
    request = f"GET {address} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n".encode()
    async with asyncio.timeout(PATIENCE_S):
        while True:
            # Refused is what nobody may be.
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                if answer := await reader.read():
                    return answer
            except ConnectionResetError:
                pass
            finally:
                writer.close()


def of_processes(exposition: bytes, name: str) -> dict[str, float]:
    """{serve process: value of a metric that has no other label}"""
    found = re.findall(rb'^%s{process="([^"]+)"} (\S+)$' % name.encode(), exposition, re.MULTILINE)
    return {process.decode(): float(value) for process, value in found}


async def test_several_serve_processes_answer_on_one_address_and_nobody_is_refused_while_one_is_away(tmp_path: Path) -> None:
    settings = Settings(tmp_path, serve={"processes": 2})
    async with command("run", "--config", str(settings.file)) as gateway:
        pids = {name: await gateway.pid_of(name.replace("-", " ")) for name in ("serve-0", "serve-1")}
        await gateway.logged("following observe", count=2)
        lists = [await asked(settings.http, "/api/v1/operations") for _ in range(8)]
        tags = {match[1] for match in map(re.compile(rb"ETag: (.*)\r").search, lists) if match}
        assert len(tags) == 1
        known = f"If-None-Match: {tags.pop().decode()}\r\n"
        for _ in range(8):
            assert (await asked(settings.http, "/api/v1/operations", known)).startswith(b"HTTP/1.1 304")
        exposition = await asked(settings.http, "/metrics")
        assert of_processes(exposition, "nativelink_gateway_upstream_connected") == {"serve-0": 1, "serve-1": 1}
        restarted = asyncio.create_task(gateway.logged("answering on", count=3), name="restarted")
        os.kill(pids["serve-0"], signal.SIGKILL)
        count = 0
        while not restarted.done() or count < 10:
            assert (await asked(settings.http, "/livez")).startswith(b"HTTP/1.1 200")
            count += 1
            await asyncio.sleep(0.02)
        await restarted
        assert is_alive(pids["serve-1"])
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0
        ends = await gateway.logged(r"role (\w+)[ 0-9]* \(pid \d+\) ended", count=4)
        assert [each[1] for each in ends] == ["serve", "serve", "observe", "tap"]


async def test_certificates_of_introspection_are_looked_at_before_anything_starts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, other = authority.issue("own"), authority.issue("other")
    pair = {"cert_file": str(own.cert_file), "key_file": str(other.key_file)}
    (port,) = free_ports(1)
    for introspection, setting in (
        ({"listen": f"127.0.0.1:{port}", "tls": {**pair, "client_ca_file": str(authority.file)}}, "tls"),
        ({"endpoint": f"127.0.0.1:{port}", "endpoint_tls": {**pair, "ca_file": str(authority.file)}}, "endpoint_tls"),
    ):
        code, _, said = await finished("run", "--config", str(Settings(tmp_path, introspection=introspection).file))
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith(
            f"nativelink-gateway run: gateway.introspection.{setting}.key_file: {other.key_file}: the key does not"
        )


@pytest.mark.parametrize("role", ["tap", "serve"])
async def test_a_process_beyond_those_that_there_are_is_refused(tmp_path: Path, role: str) -> None:
    code, _, said = await finished(role, "--process=2", "--config", str(Settings(tmp_path, **{role: {"processes": 2}}).file))
    expected = f"nativelink-gateway {role}: --process 2: gateway.{role}.processes: 2 are numbered from 0\n"
    assert (code, said.endswith(expected)) == (1, True)


async def test_where_all_taps_are_on_other_machines_none_is_started(tmp_path: Path) -> None:
    identity = Authority(tmp_path).issue("observer")
    (port,) = free_ports(1)
    tls = {"cert_file": str(identity.cert_file), "key_file": str(identity.key_file)}
    link = {"local": False, "endpoints": [{"endpoint": f"127.0.0.1:{port}", "tls": tls}]}
    settings = Settings(tmp_path, record_link=link)
    async with command("run", "--config", str(settings.file)) as gateway:
        await gateway.logged("answering on")
        assert await livez(settings.http) == b"HTTP/1.1 200 OK"
        await gateway.logged(f"not reading the tap: nobody answers at 127.0.0.1:{port}")
        assert not await connects(settings.workers)
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0
        assert not [line for line in gateway.log if "role tap" in line]


@pytest.mark.parametrize(
    ("which", "setting"),
    [("workers", "gateway.taps[workers].listen"), ("http", "servers[].listener.http.socket_address (or --http)")],
)
async def test_a_port_in_use_is_told_with_its_setting_and_nothing_is_started(tmp_path: Path, which: str, setting: str) -> None:
    settings = Settings(tmp_path)
    port = getattr(settings, which)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    async with server:
        code, _, said = await finished("run", "--config", str(settings.file))
    assert code == 1
    (line,) = said.splitlines()
    assert line.startswith(f"nativelink-gateway run: {setting}")
    assert f"127.0.0.1:{port}" in line
    assert line.endswith(("Address already in use", "address already in use"))


async def test_what_runs_is_a_private_copy_of_what_was_checked(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    async with command("run", "--config", str(settings.file), "--http", f"[::1]:{settings.http}") as gateway:
        await gateway.pid_of("serve")
        running = settings.state_dir / "running.json"
        assert stat.S_IMODE(running.stat().st_mode) == 0o600
        assert stat.S_IMODE(settings.state_dir.stat().st_mode) == 0o700
        assert json.loads(running.read_text())["servers"][0]["listener"]["http"]["socket_address"] == f"[::1]:{settings.http}"


async def test_a_disk_that_is_full_at_the_start_is_told_with_its_setting(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The command inherits that it can write no file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        code, _, said = await finished("run", "--config", str(settings.file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (code, said) == (
        1,
        f"nativelink-gateway run: gateway.state_dir: cannot write {settings.state_dir / 'running.json'}: File too large\n",
    )
