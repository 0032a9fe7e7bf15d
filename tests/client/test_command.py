"""Every command but the two that do not end, asked of a real `serve`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import urllib.request
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from tests.client.asking import Asking
from tests.client.peer import peering, response
from tests.command import PATIENCE_S, command, finished, free_ports
from tests.serve.builders import worker
from tests.serve.implementer import Implementer
from tests.serve.running import serving


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.delenv("NATIVELINK_GATEWAY_TOKEN", raising=False)
    return Asking(capsys)


async def got(address: str) -> bytes:
    def get() -> bytes:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:  # noqa: S310 # http, of this test
            body: bytes = answer.read()
            return body

    return await asyncio.to_thread(get)


def without_ages(text: str) -> str:
    return re.sub(r" +[0-9dhms.]+[dhms]\b", " T", text)


async def test_workers_are_a_table_and_nothing_in_it_reaches_the_terminal_raw(url: str, ask: Asking) -> None:
    told = await ask("workers", "--url", url)
    assert (told.code, told.err) == (0, "")
    assert without_ages(told.out).splitlines() == [
        "WORKER      STATE   RUNNING  DONE  CONNECTED  PROPERTIES",
        "worker-123  active        2    42 T  OSFamily=Linux cpu_arch=x86_64 cpu_count=8 memory_kb=16384",
        "worker-5    paused        0     - T  pool=\\x9b31m[bold]",
    ]


async def test_operations_are_a_table_of_everything_that_is_known(url: str, ask: Asking) -> None:
    told = await ask("operations", "--url", url)
    assert (told.code, told.err) == (0, "")
    assert [line.split() for line in without_ages(told.out).splitlines()] == [
        ["OPERATION", "STAGE", "AGE", "QUEUED", "RAN", "RESULT", "WORKER", "TARGET"],
        ["op-456", "Executing", "T", "T", "T", "-", "worker-123", "//a:b"],
        ["op-\\x1b[2J", "Queued", "T", "T", "-", "-", "-", "//[red]evil[/red]:\\x1b]0;x\\x07\\u202e"],
        ["op-4", "Completed", "T", "-", "-", "exit", "2", "worker-123", "-"],
    ]


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--stage", "queued,completed"), ["op-\x1b[2J", "op-4"]),
        (("--worker", "worker-123"), ["op-456", "op-4"]),
        (("--digest", "sha256:ABC123..."), ["op-456"]),
        (("--instance", "main"), ["op-456"]),
        (("--property", "cpu_count=4", "--property", "memory_kb=8192"), ["op-456"]),
        (("--min-age", "10", "--limit", "1"), ["op-4"]),
        (("--invocation", "x"), []),
        (("--target", "//b", "--mnemonic", "Javac", "--status", "ok"), []),
    ],
)
async def test_operations_are_filtered_as_the_api_does(url: str, ask: Asking, arguments: tuple[str, ...], ids: list[str]) -> None:
    told = await ask("operations", "--url", url, "--json", *arguments)
    assert told.code == 0
    assert [each["operation_id"] for each in json.loads(told.out)] == ids


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (("--state", "active,full"), ["worker-123"]),
        (("--id-prefix", "worker-1"), ["worker-123"]),
        (("--property", "cpu_count=8"), ["worker-123"]),
        (("--limit", "1"), ["worker-123"]),
    ],
)
async def test_workers_are_filtered_as_the_api_does(url: str, ask: Asking, arguments: tuple[str, ...], ids: list[str]) -> None:
    told = await ask("workers", "--url", url, "--json", *arguments)
    assert (told.code, [each["id"] for each in json.loads(told.out)]) == (0, ids)


async def test_json_is_the_apis_as_it_came(url: str, ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATIVELINK_GATEWAY_URL", f"{url}/")
    for arguments, path in (
        (("workers",), "workers"),
        (("operations",), "operations?view=full&limit=50"),
        (("operation", "client-op-456"), "operations/op-456?view=full"),
    ):
        told = await ask(*arguments, "--json")
        assert (told.code, told.err, told.out.encode()) == (0, "", await got(f"{url}/api/v1/{path}") + b"\n")
    told = await ask("status", "--json")
    assert json.loads(told.out).keys() == {"health", "status", "metrics"}
    assert json.loads(told.out)["metrics"] == json.loads(await got(f"{url}/api/v1/scheduler/metrics"))


async def test_how_many_there_are_is_said_beside_the_table(url: str, ask: Asking) -> None:
    told = await ask("operations", "--url", url, "--limit", "1")
    assert told.err == "1 of 3 shown; --limit N shows more, filters show others\n"
    assert len(told.out.splitlines()) == 2


async def test_a_table_of_workers_has_an_end_and_json_has_all(implementer: Implementer, url: str, ask: Asking) -> None:
    implementer.set([worker(arrival) for arrival in range(100, 1_100)])
    while len(json.loads((await ask("workers", "--url", url, "--json")).out)) < 1_002:
        pass
    told = await ask("workers", "--url", url)
    assert len(told.out.splitlines()) == 1_001
    assert told.err == "1000 of 1002 shown; --limit N shows more, filters show others\n"


async def test_one_operation_with_its_history(url: str, ask: Asking) -> None:
    told = await ask("operation", "main/client-op-456", "--url", url)
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert told.code == 0
    assert {"operation op-456", "stage Executing", "command sha256:def456... (7 bytes)", "target //a:b"} <= set(lines)
    assert lines[-1].endswith(" Queued")


async def test_an_operation_that_is_not_there_is_exit_code_1(url: str, ask: Asking) -> None:
    told = await ask("operation", "a/b\x1b", "--url", url)
    assert (told.code, told.out) == (1, "")
    assert told.err == "nativelink-gateway operation: Operation a/b\\x1b not found\n"


def waiting(answers: list[tuple[bytes, str]]) -> Callable[[str], list[bytes | None]]:
    def script(_: str) -> list[bytes | None]:
        body, waited = answers.pop(0)
        return [response(200, body, X_Wait_For=waited)]

    return script


async def test_an_operation_is_waited_for_in_portions(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.command._WAIT_S", 2.0)
    early, late = b'{"operation_id":"op-1","is_finished":false}', b'{"operation_id":"op-1","is_finished":true}'
    async with peering(waiting([(early, "timed-out"), (late, "reached")])) as peer:
        told = await ask("operation", "op-1", "--wait-for", "completed", "--timeout", "1000", "--json", "--url", peer.url)
        assert (told.code, told.out) == (0, late.decode() + "\n")
        assert [head.split()[1] for head in peer.requests] == [
            "/api/v1/operations/op-1?view=full&wait_for=completed&timeout=2.000"
        ] * 2


async def test_not_in_time_is_exit_code_1_with_the_operation_as_it_is(ask: Asking) -> None:
    early = b'{"operation_id":"op-1","is_finished":false}'
    async with peering(waiting([(early, "timed-out")])) as peer:
        told = await ask("operation", "op-1", "--wait-for", "executing", "--timeout", "0", "--json", "--url", peer.url)
    assert (told.code, told.out) == (1, early.decode() + "\n")
    assert told.err == "nativelink-gateway operation: operation op-1 is not executing after 0 s\n"


async def test_a_mistake_that_the_gateway_sees_is_exit_code_2(url: str, ask: Asking) -> None:
    told = await ask("operations", "--stage", "quued", "--url", url)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("nativelink-gateway operations: stage is 'quued': it is one of queued,")
    told = await ask("workers", "--url", "localhost:1")
    assert (told.code, told.err.split(": ")[1]) == (2, "localhost:1")


async def test_status_says_in_one_screen_how_it_is_and_the_exit_code_says_it_too(
    implementer: Implementer, url: str, ask: Asking
) -> None:
    told = await ask("status", "--url", url)
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[0].startswith(f"healthy  {url}, scheduler up ")
    assert told.out.splitlines()[1:] == [
        "workers     5 total   4 active   1 paused      0 draining",
        "operations  25 total  10 queued  12 executing  3 completed",
    ]
    for status, code, word in ((pb.Health.DEGRADED, 1, "degraded"), (pb.Health.UNHEALTHY, 3, "unhealthy")):
        implementer.set(scheduler=pb.Scheduler(health=pb.Health(status=status, reasons=["Look \x1bhere."])))
        while not (told := await ask("status", "--url", url)).out.startswith(word):
            pass
        assert (told.code, told.out.splitlines()[1]) == (code, "! Look \\x1bhere.")


async def test_before_there_is_anything_every_command_says_so_with_exit_code_3(config: Config, ask: Asking) -> None:
    async with serving(config, ready=False) as client:
        url = f"http://127.0.0.1:{client.port}"
        told = await ask("status", "--url", url)
        assert (told.code, told.err) == (3, "")
        assert "! Nothing is known yet" in told.out
        assert json.loads((await ask("status", "--json", "--url", url)).out)["status"] is None
        for arguments in (("workers",), ("operations",), ("operation", "x")):
            told = await ask(*arguments, "--url", url)
            assert (told.code, told.out) == (3, "")
            assert "Nothing is known yet" in told.err


async def test_while_the_observer_is_away_operations_are_shown_as_far_as_they_are_known(
    implementer: Implementer, url: str, ask: Asking
) -> None:
    await implementer.stop()
    while not (told := await ask("operations", "--url", url)).err:
        pass
    assert told.code == 0
    assert told.err.startswith("less is shown than usual: view=full is asked of")
    assert [line.split()[0] for line in told.out.splitlines()] == ["OPERATION", "op-456", "op-\\x1b[2J", "op-4"]
    told = await ask("operations", "--json", "--url", url)
    assert (told.code, told.out) == (3, "")


async def test_nobody_there_is_exit_code_4_and_no_traceback() -> None:
    (port,) = free_ports(1)
    token = "s3cret"  # noqa: S105 # of this test
    code, out, err = await finished("status", "--url", f"http://127.0.0.1:{port}", NATIVELINK_GATEWAY_TOKEN=token)
    assert (code, out) == (4, "")
    assert err.startswith(f"nativelink-gateway status: nobody answers at http://127.0.0.1:{port} (Connection refused)")
    assert len(err.splitlines()) == 1
    assert token not in err


async def test_ctrl_c_before_an_answer_is_exit_code_130_and_no_traceback() -> None:
    is_asked = asyncio.Event()

    def script(_: str) -> list[bytes | None]:
        is_asked.set()
        return []

    async with peering(script) as peer, command("workers", "--url", peer.url) as workers:
        await asyncio.wait_for(is_asked.wait(), PATIENCE_S)
        workers.send(signal.SIGINT)
        assert await workers.ended() == 130
        assert workers.log == []


async def test_a_defect_is_exit_code_70_since_1_is_an_answer(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.client.command.workers_table", None)
    async with peering(lambda _: [response(200, b"[]")]) as peer:
        told = await ask("workers", "--url", peer.url)
    assert told.code == 70
    assert "TypeError" in told.err


async def test_an_argument_that_is_not_utf_8_is_the_gateways_to_judge(url: str, ask: Asking) -> None:
    for arguments in (("operation", "\udcff"), ("workers", "--id-prefix", "\udcff")):
        told = await ask(*arguments, "--url", url)
        assert (told.code, told.err.partition(": ")[2]) == (2, "The address is not UTF-8\n")


async def test_a_reader_that_has_seen_enough_ends_it_quietly(implementer: Implementer, url: str) -> None:
    implementer.set([worker(arrival, "worker-" + "x" * 1_000 + f"{arrival}") for arrival in range(100, 400)])
    line = f"{sys.executable} -m gateway.cli workers --url {url} | head -n 1; exit ${{PIPESTATUS[0]}}"
    process = await create_subprocess_exec("bash", "-c", line, stdout=PIPE, stderr=PIPE)
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    assert out.startswith(b"WORKER")


async def test_a_terminal_that_has_no_such_characters_gets_escapes(url: str, implementer: Implementer) -> None:
    implementer.set([worker(9, "ä工")])
    code, out, err = await finished("workers", "--id-prefix", "ä", "--url", url, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].startswith("\\xe4\\u5de5")


async def test_what_serves_is_not_loaded_for_a_question_nor_for_help(tmp_path: Path, url: str) -> None:
    code = (
        "import sys\n"
        "from gateway.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    heavy = {'aiohttp', 'grpc', 'uvloop', 'google', 'hpack', 'gateway.simulation', 'gateway.serve'} & set(sys.modules)\n"
        "    sys.stderr.write(f'loaded: {sorted(heavy)}')\n"
    )
    file = tmp_path / "code.py"
    file.write_text(code)
    for arguments in (["--help"], ["operations", "--help"], ["operations", "--url", url]):
        process = await create_subprocess_exec(sys.executable, str(file), *arguments, stdout=PIPE, stderr=PIPE)
        _, err = await process.communicate()
        assert (process.returncode, err.decode()) == (0, "loaded: []")
