import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import urllib.request
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.cli import main
from gateway.cli.process import run_until_stopped
from gateway.client.arguments import COMMANDS as QUESTIONS
from gateway.errors import StartError
from tests.certificates import Authority
from tests.command import PATIENCE_S, Settings, command, finished, free_ports

OF_OPERATIONS = {
    *("--stage", "--worker", "--digest", "--instance", "--invocation", "--target", "--mnemonic", "--status", "--min-age"),
    "--property",
}


def test_the_version_and_every_command_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"nativelink-gateway {__version__}\n")
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"    {each}" in told for each in ("run", "tap", "observe", "serve", "inspect", "check-config", "demo", *QUESTIONS))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("status", {"--url", "--ca-file", "--json"}),
        ("workers", {"--url", "--ca-file", "--json", "--state", "--id-prefix", "--property", "--limit"}),
        ("operations", {"--url", "--ca-file", "--json", "--limit", *OF_OPERATIONS}),
        ("operation", {"--url", "--ca-file", "--json", "--wait-for", "--timeout"}),
        ("watch", {"--url", "--ca-file", "--interval", *OF_OPERATIONS}),
        ("events", {"--url", "--ca-file", "--json", "--kind", "--since", "--state", "--id-prefix", *OF_OPERATIONS} - {"--min-age"}),
        ("run", {"--config", "--nativelink-config", "--http", "--log-level", "--record", "--record-bytes", "--take-over"}),
        (
            "tap",
            {
                "--config",
                "--nativelink-config",
                "--http",
                "--log-level",
                "--listener",
                "--supervisor",
                "--take-over",
                "--tell",
                "--record",
                "--record-bytes",
                "--process",
            },
        ),
        ("observe", {"--config", "--nativelink-config", "--http", "--log-level", "--supervisor", "--replay", "--speed"}),
        ("inspect", {"--json", "--full", "--redact", "--key", "--keep-numbers"}),
        ("serve", {"--config", "--nativelink-config", "--http", "--log-level", "--listener", "--supervisor", "--process"}),
        ("check-config", {"--config", "--nativelink-config", "--http", "--log-level"}),
        ("demo", {"--http", "--log-level", "--rate", "--workers", "--operations", "--seed", "--record"}),
    ],
)
def test_help_tells_every_option(name: str, options: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert {word.strip("[]") for word in capsys.readouterr().out.split() if word.strip("[]").startswith("--")} - {
        "--help"
    } == options


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run", "--confi", "x"],
        ["tap", "--listener", "x"],
        ["tap", "--listener", "x=999999"],
        ["observe", "--replay", "x", "--speed", "-1"],
        ["observe", "--speed", "fast"],
        ["tap", "--record-bytes", "5"],
        ["inspect"],
        ["operation"],
        ["operation", "x", "--wait-for", "queued"],
        ["operation", "x", "--wait-for", "completed", "--timeout", "soon"],
        ["workers", "--property", "x"],
        ["watch", "--interval", "0.1"],
    ],
)
def test_a_mistake_in_the_arguments_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: nativelink-gateway" in capsys.readouterr().err


def test_check_config_prints_a_file_that_means_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(tmp_path)
    assert main(["check-config", "--config", str(settings.file), "--http", "127.0.0.1:1"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "again.json5").write_text(first)
    assert main(["check-config", "--config", str(tmp_path / "again.json5")]) == 0
    assert capsys.readouterr().out == first
    assert json.loads(first)["servers"][0]["listener"]["http"]["socket_address"] == "127.0.0.1:1"
    assert not settings.state_dir.exists()


@pytest.mark.parametrize("name", ["check-config", "run", "tap", "observe", "serve"])
def test_mistakes_in_the_configuration_are_told_by_every_command_and_nothing_starts(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.json5"
    file.write_text(f'{{gateway: {{tapps: [], authentication: 5, state_dir: "{tmp_path}/state"}}}}')
    assert main([name, "--config", str(file)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"nativelink-gateway {name}: 2 problems in {file}",
        "gateway.authentication: 5: one of auto, none, required",
        "gateway.tapps: []: no such key; the nearest is taps",
    ]
    assert not (tmp_path / "state").exists()


async def test_a_role_alone_opens_its_own_sockets_and_stops_when_told(tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    async with command("tap", "--config", str(settings.file)) as tap:
        await tap.logged("tap workers forwards")
        assert (settings.state_dir / "tap-0.sock").is_socket()
        tap.send(signal.SIGTERM)
        assert await tap.ended() == 0
    async with command("serve", "--config", str(settings.file)) as serve:
        await serve.logged("answering on")
        serve.send(signal.SIGINT)
        assert await serve.ended() == 0


async def test_a_role_that_does_not_stop_is_ended_by_the_kernel(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, time\n"
        "from gateway.cli.process import run_until_stopped\n"
        "async def work(stop):\n"
        "    sys.stdout.write('up\\n'); sys.stdout.flush()\n"
        "    await stop.wait()\n"
        "    time.sleep(60)\n"
        "run_until_stopped(work, stop_timeout_s=0.2)\n"
    )
    process = await create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == -signal.SIGALRM


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary directory whose name leaves room for a unix socket's in directories below."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


async def test_the_demo_shows_what_to_try_and_answers_it(short: Path) -> None:
    (port,) = free_ports(1)
    async with command("demo", "--http", f"127.0.0.1:{port}", "--workers", "3", TMPDIR=str(short)) as demo:
        lines = [await demo.printed(r"^  curl \"?([^\" ]+)\"?$") for _ in range(4)]
        assert lines[0] == f"http://localhost:{port}/api/v1/workers"
        assert [line.partition(f":{port}")[2] for line in lines[2:]] == [
            "/api/v1/scheduler/status",
            "/api/v1/operations?stage=queued",
        ]
        answers = [await asyncio.to_thread(answer, line) for line in lines]
        assert any(worker["id"] == lines[1].rpartition("=")[2] for worker in answers[0])
        assert answers[2]["total_workers"] >= 1
        demo.send(signal.SIGINT)
        assert await demo.ended() == 0
    assert entries(short) == []


def entries(directory: Path) -> list[Path]:
    """What is left in a directory."""
    return list(directory.iterdir())


def answer(url: str) -> Any:
    """What an address answers, as JSON."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE_S) as opened:
        return json.load(opened)


async def test_a_reader_of_the_output_that_goes_away_is_no_defect(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "check-config", "--config", str(Settings(tmp_path).file), stdout=writing, stderr=PIPE
    )
    os.close(writing)
    _, said = await process.communicate()
    assert (process.returncode, said) == (1, b"")


async def test_a_child_whose_supervisor_is_gone_does_not_start(tmp_path: Path) -> None:
    code, _, said = await finished("tap", "--config", str(Settings(tmp_path).file), "--supervisor", "1")
    assert code == 1
    assert said == "nativelink-gateway tap: --supervisor: the process 1 is gone, or not this one's parent\n"


@pytest.mark.parametrize("role", ["tap", "serve"])
async def test_sockets_that_do_not_fit_are_refused(role: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "gateway.cli", role, "--config", str(Settings(tmp_path).file)]
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        process = await create_subprocess_exec(
            *arguments,
            f"--listener=a={one.fileno()}",
            f"--listener=b={two.fileno()}",
            pass_fds=(one.fileno(), two.fileno()),
            stderr=PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith(f"nativelink-gateway {role}: --listener: ")
    assert said.decode().endswith("not a, b\n")


async def test_a_descriptor_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    code, _, said = await finished("tap", "--config", str(Settings(tmp_path).file), "--listener", "execution=1")
    assert (code, "--listener execution=1: not a socket" in said) == (1, True)


def test_an_error_of_a_person_comes_out_of_a_group_and_a_defect_stays_one() -> None:
    async def refused(_: object) -> None:
        raise ExceptionGroup("tasks", [ExceptionGroup("more", [StartError("no")]), StartError("neither")])

    async def broken(_: object) -> None:
        raise ExceptionGroup("tasks", [StartError("no"), ValueError("defect")])

    with pytest.raises(StartError, match="no"):
        run_until_stopped(refused, stop_timeout_s=1)
    with pytest.raises(ExceptionGroup):
        run_until_stopped(broken, stop_timeout_s=1)


async def test_a_tap_process_has_no_grpc_and_no_aiohttp_in_it() -> None:
    code = (
        "import sys, gateway.cli.entry, gateway.cli.roles, gateway.tap.role\n"
        "print(sorted({'grpc', 'google.protobuf', 'aiohttp', 'msgspec', 'gateway.model'} & set(sys.modules)))"
    )
    process = await create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE)
    out, _ = await process.communicate()
    assert out == b"[]\n"


@pytest.mark.parametrize("name", ["run", "tap"])
async def test_a_certificate_that_cannot_be_used_is_told_before_anything_starts(name: str, tmp_path: Path) -> None:
    own, other = Authority(tmp_path).issue("own"), Authority(tmp_path).issue("other")
    settings = Settings(tmp_path)
    document = json.loads(settings.file.read_text())
    document["gateway"]["taps"][1]["tls"] = {"cert_file": str(own.cert_file), "key_file": str(other.key_file)}
    settings.file.write_text(json.dumps(document))
    code, _, told = await finished(name, "--config", str(settings.file))
    assert code == 1
    assert told == (
        f"nativelink-gateway {name}: gateway.taps[workers].tls.key_file: {other.key_file}: "
        f"the key does not belong to the certificate in {own.cert_file}\n"
    )


@pytest.mark.parametrize("name", ["run", "tap"])
async def test_a_tap_without_enough_descriptors_is_refused(name: str, tmp_path: Path) -> None:
    config = tmp_path / "gateway.json5"
    config.write_text(json.dumps({"gateway": {"state_dir": str(tmp_path / "state")}}))
    shell = f"ulimit -Hn 4095 && exec {sys.executable} -P -m gateway.cli {name} --config {config}"
    process = await create_subprocess_exec("bash", "-c", f"ulimit -Sn 1024 && {shell}", stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(PATIENCE_S):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert "this process may have 4095 files open, and a tap needs 4096 or more" in err.decode()
    assert "LimitNOFILE" in err.decode()
    assert "Traceback" not in err.decode()


async def test_the_demo_at_size_shows_all_of_its_workers_and_keeps_all_of_its_operations(short: Path) -> None:
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}/api/v1"
    arguments = ("--workers", "210", "--operations", "150", "--rate", "60")
    async with command("demo", "--http", f"127.0.0.1:{port}", *arguments, TMPDIR=str(short)) as demo:
        await demo.printed(r"^  curl \"?([^\" ]+)\"?$")
        async with asyncio.timeout(PATIENCE_S):
            while (  # noqa: ASYNC110 - what is waited for is in another process
                status := await asyncio.to_thread(answer, f"{base}/scheduler/status")
            )["completed_operations"] < 50:
                await asyncio.sleep(0.1)
        assert status["total_workers"] == 210
        operations = await asyncio.to_thread(answer, f"{base}/operations?stage=completed")
        assert all(operation["command_digest"].startswith("sha256:") for operation in operations[-10:])
        demo.send(signal.SIGINT)
        assert await demo.ended() == 0
    assert entries(short) == []


async def test_a_demo_with_more_workers_than_files_that_may_be_open_is_refused() -> None:
    async with command("demo", "--workers", "100000000") as demo:
        await demo.logged(r"--workers 100000000: each worker is a connection")
        assert await demo.ended() == 1


async def test_the_demo_records_its_load_without_waiting_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recording"
    arguments = ["demo", "--record", str(file), "--workers", "3", "--operations", "20"]
    assert main(arguments) == 0
    assert f"nativelink-gateway observe --replay {file} --speed max" in capsys.readouterr().out
    assert main(["inspect", str(file)]) == 0
    assert "ConnectWorker" in capsys.readouterr().out
    assert main(arguments) == 1
    assert "it is there already" in capsys.readouterr().err
    assert main(["demo", "--record", str(tmp_path / "endless")]) == 1
    assert "--operations N" in capsys.readouterr().err
    assert main([*arguments[:2], str(tmp_path / "nowhere" / "file"), *arguments[3:]]) == 1
    assert "No such file or directory" in capsys.readouterr().err
