"""What a tap recorded, shown, freed of names and played again, all by the command line."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec, create_subprocess_shell
from pathlib import Path

import grpc
import pytest

from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.simulation import Job, Simulation, WorkerSpec
from tests.command import PATIENCE_S, Settings, command, connects, finished, free_ports
from tests.observe.recording.played import written
from tests.observe.records import ScriptedTap
from tests.tap.running import until


async def _record(folder: Path, file: Path) -> None:
    """A build through a tap that records."""
    execution, workers = free_ports(2)
    async with Simulation() as simulation:
        taps = [
            {
                "name": "execution",
                "listen": f"127.0.0.1:{execution}",
                "upstream": simulation.execution_address,
                "carries": ["execution"],
            },
            {
                "name": "workers",
                "listen": f"127.0.0.1:{workers}",
                "upstream": simulation.worker_address,
                "carries": ["worker_api", "admin"],
            },
        ]
        config = folder / "gateway.json"
        config.write_text(
            json.dumps({"gateway": {"taps": taps, "cas": None, "state_dir": str(folder / "state"), "stop_timeout_s": PATIENCE_S}})
        )
        async with command("tap", "--config", str(config), "--record", str(file)) as tap:
            await tap.logged("recording to")
            await tap.logged("tap workers forwards", 1)
            # The recorder is a process of its own, which has to be there before the tap goes.
            await until(lambda: _size(file) > 0)
            await simulation.add_worker(WorkerSpec(prefix="linux-"), via=f"127.0.0.1:{workers}")
            client = await simulation.add_client(via=f"127.0.0.1:{execution}", instance_name="main")
            for number in range(3):
                await (await client.submit(Job((f"job {number}",), target=f"//pkg:{number}"))).done()
            tap.send(signal.SIGTERM)
            assert await tap.ended() == 0
            assert not any("not complete" in line for line in tap.log)


async def _replayed(folder: Path, file: Path) -> tuple[list[pb.Worker], list[pb.Operation], pb.Scheduler]:
    state = folder / "replayed"
    config = folder / "replay.json"
    config.write_text(json.dumps({"gateway": {"cas": None, "state_dir": str(state)}}))
    async with command("observe", "--config", str(config), "--replay", str(file), "--speed", "max") as observe:
        await observe.logged("the replay of .* is over")
        async with grpc.aio.insecure_channel(f"unix:{state}/introspection.sock") as channel:
            stub = IntrospectionStub(channel)
            operations = await stub.ListOperations(pb.ListOperationsRequest(view=pb.FULL))
            workers = await stub.ListWorkers(pb.ListWorkersRequest())
            scheduler = await stub.GetScheduler(pb.GetSchedulerRequest())
        observe.send(signal.SIGTERM)
        assert await observe.ended() == 0
    assert not list(state.glob("*.checkpoint*"))
    return list(workers.workers), list(operations.operations), scheduler


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    asyncio.run(asyncio.wait_for(_record(folder, folder / "file"), 3 * PATIENCE_S))
    return folder / "file"


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def _bytes(file: Path) -> bytes:
    return file.read_bytes()


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


async def test_a_recording_is_shown(recorded: Path) -> None:
    assert _mode(recorded) == 0o600
    code, out, err = await finished("inspect", str(recorded))
    assert (code, err) == (0, "")
    assert "> ExecuteRequest { instance_name: " in out
    assert "< UpdateForWorker { start_action { " in out
    assert "         3  /build.bazel.remote.execution.v2.Execution/Execute" in out
    code, out, err = await finished("inspect", str(recorded), "--json")
    assert (code, err) == (0, "")
    assert all(json.loads(line) for line in out.splitlines())


async def test_a_recording_is_played_again(recorded: Path, tmp_path: Path) -> None:
    workers, operations, scheduler = await _replayed(tmp_path, recorded)
    assert workers == []
    assert [operation.stage for operation in operations] == [pb.STAGE_COMPLETED] * 3
    assert {operation.detail.clients[0].request_metadata.target_id for operation in operations} == {f"//pkg:{n}" for n in range(3)}
    assert scheduler.health.status == pb.Health.HEALTHY
    assert scheduler.health.notes[0] == f"This is a replay of {recorded}, which is over: time stands still."


async def test_a_redacted_recording_has_no_names_and_plays_as_well(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "redacted"
    assert await finished("inspect", str(recorded), "--redact", str(out)) == (0, "", "")
    assert _mode(out) == 0o600
    before, after = _bytes(recorded), _bytes(out)
    for name in (b"//pkg", b"linux-", b"main/", b"cpu_count", b"simulated-bazel", b"127.0.0.1"):
        assert name in before
        assert name not in after
    _, operations, _ = await _replayed(tmp_path, out)
    assert [operation.stage for operation in operations] == [pb.STAGE_COMPLETED] * 3
    code, _, err = await finished("inspect", str(recorded), "--redact", str(out))
    assert code == 1
    assert err == f"nativelink-gateway inspect: --redact {out}: a name that is free: this one is not overwritten\n"


async def test_one_key_makes_equal_recordings(recorded: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 32)
    for name in ("a", "b"):
        done = await finished("inspect", str(recorded), "--redact", str(tmp_path / name), "--key", str(key), "--keep-numbers")
        assert done == (0, "", "")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    key.write_bytes(b"short")
    code, _, err = await finished("inspect", str(recorded), "--redact", str(tmp_path / "c"), "--key", str(key))
    assert (code, "5 bytes: 16 to 64 random ones" in err) == (1, True)
    code, _, err = await finished("inspect", str(recorded), "--redact", str(tmp_path / "c"), "--key", str(tmp_path / "none"))
    assert (code, "No such file" in err) == (1, True)
    code, _, err = await finished("inspect", str(recorded), "--redact", str(tmp_path / "no" / "c"))
    assert (code, "No such file" in err) == (1, True)


async def test_the_beginning_of_a_recording_is_shown_to_who_wants_no_more(recorded: Path) -> None:
    shell = f"{sys.executable} -P -m gateway.cli inspect {recorded} | head -n 1"
    process = await create_subprocess_shell(shell, stdout=PIPE, stderr=PIPE)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (out.count(b"\n"), err) == (1, b"")
    assert b"run_started" in out


async def test_inspecting_begins_without_what_other_commands_need() -> None:
    code = (
        "import sys, gateway.cli.entry, gateway.observe.recording.inspection, gateway.observe.recording.redaction\n"
        "print(sorted({'grpc', 'aiohttp', 'uvloop', 'gateway.tap.role', 'gateway.supervisor'} & set(sys.modules)))"
    )
    process = await create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert out == b"[]\n"


async def test_who_redacts_is_told_what_schedulers_are_called_afterwards(tmp_path: Path) -> None:
    script = ScriptedTap(schedulers={"execution": "OURS", "workers": "MAIN_SCHEDULER"})
    file = written(tmp_path, script.records)
    code, _, err = await finished("inspect", str(file), "--redact", str(tmp_path / "out"))
    assert code == 0
    called = re.fullmatch(
        rf"nativelink-gateway inspect: the scheduler 'OURS' is called '(h[0-9a-f]{{16}})' in {tmp_path}/out: "
        r"so does a configuration that plays it\n",
        err,
    )
    assert called is not None
    _, out, _ = await finished("inspect", str(tmp_path / "out"), "--full")
    assert f'scheduler: "{called[1]}"' in out
    assert 'scheduler: "MAIN_SCHEDULER"' in out


async def test_damage_is_told_with_its_byte_and_all_before_it_is_shown(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "damaged"
    data = _bytes(recorded)
    _write(file, data + b"\x05\xff\xff\xff\xff\xff")
    said = f"nativelink-gateway inspect: {file}: this is no record at byte {len(data)}: what comes after it is not read\n"
    whole = await finished("inspect", str(recorded))
    code, out, err = await finished("inspect", str(file))
    assert (code, out, err) == (0, whole[1], said)
    assert await finished("inspect", str(file), "--redact", str(tmp_path / "out")) == (0, "", said)


async def test_what_is_no_recording_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no")
    for arguments in (("inspect", str(tmp_path / "file")), ("observe", "--replay", str(tmp_path / "file"))):
        code, out, err = await finished(*arguments, STATE_DIRECTORY=str(tmp_path / "state"))
        assert (code, out) == (1, "")
        assert "not a recording of nativelink-gateway" in err
        assert "Traceback" not in err


@pytest.mark.parametrize("name", ["no/file", ".", "notes", "older"])
async def test_a_recording_that_cannot_be_made_is_told_at_the_start_and_nothing_is_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "older.3").write_text("mine too")
    for command_name in ("tap", "run"):
        code, _, err = await finished(command_name, "--record", str(tmp_path / name), STATE_DIRECTORY=str(tmp_path / "state"))
        assert code == 1
        assert err.startswith(f"nativelink-gateway {command_name}: --record {tmp_path / name}: ")
        assert "a directory that is there" in err or "is something else" in err
    assert _names(tmp_path) == ["notes", "older.3"]


async def test_the_files_of_further_tap_processes_are_looked_at_too(tmp_path: Path) -> None:
    _write(tmp_path / "file.tap-1", b"mine")
    settings = Settings(tmp_path, tap={"processes": 2})
    code, _, err = await finished("run", "--config", str(settings.file), "--record", str(tmp_path / "file"))
    assert (code, "tap-1 is something else" in err) == (1, True)
    assert not _names(settings.state_dir)


async def test_a_tap_that_is_started_again_does_not_fail_by_a_disk_that_is_away(tmp_path: Path) -> None:
    config = tmp_path / "gateway.json"
    (port,) = free_ports(1)
    # Half of it is how long a recorder that cannot write holds up the end.
    config.write_text(json.dumps(_configuration(tmp_path / "state", port, stop_timeout_s=6)))
    disk = tmp_path / "disk"
    arguments = ("tap", "--config", str(config), "--record", str(disk / "file"), "--supervisor", str(os.getpid()))
    async with command(*arguments) as running:
        await running.logged("tap t forwards")
        await running.logged(rf"recording: {disk}/file cannot be written: No such file or directory: it goes on when it can be")
        assert await connects(port)
        running.send(signal.SIGTERM)
        assert await running.ended() == 0


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def _configuration(state: Path, port: int, stop_timeout_s: float = PATIENCE_S) -> dict[str, object]:
    tap = {"name": "t", "listen": f"127.0.0.1:{port}", "upstream": "127.0.0.1:1", "carries": ["execution"]}
    return {"gateway": {"taps": [tap], "cas": None, "state_dir": str(state), "stop_timeout_s": stop_timeout_s}}


async def test_the_tap_goes_on_when_its_recording_ends(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = tmp_path / "gateway.json"
    config.write_text(json.dumps(_configuration(tmp_path / "state", port)))
    async with command("tap", "--config", str(config), "--record", str(tmp_path / "file")) as running:
        ((found,),) = [match.groups() for match in await running.logged(r"recording to \S+ \(pid (\d+)\)")]
        await running.logged("tap t forwards")

        os.kill(int(found), signal.SIGKILL)
        await running.logged(r"the recording to \S+ has ended \(exit code -9\), the tap goes on")
        assert await connects(port)
        running.send(signal.SIGTERM)
        assert await running.ended() == 0
