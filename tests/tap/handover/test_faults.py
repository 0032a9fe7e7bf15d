"""Whatever goes wrong before the successor goes on: the process that has the connections keeps them, and forwards."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import __version__
from gateway.pb import tap_pb2
from gateway.tap.handover.channel import Channel, Kind, RefusedError
from gateway.tap.handover.messages import PROTOCOL, Hello
from gateway.tap.snapshot import layout
from tests.command import finished
from tests.tap.frames import EXECUTE, PREFACE, Peer, settings
from tests.tap.handover.upgrading import Upgradable, talks, upgradable
from tests.tap.running import Pair

_TAKING = "import gateway.tap.handover.taking as taking\nfrom gateway.tap.handover.channel import Channel, Kind"
_GIVING = "import gateway.tap.handover.giving as giving\nfrom gateway.tap.handover.channel import Channel, Kind"
#: Before or after something is said or heard.
_AT = """
{imports}
ordinary = Channel.{verb}
def faulty(self, kind, *rest):
    if kind is Kind.{kind} and {before}:
        {what}
    found = ordinary(self, kind, *rest)
    if kind is Kind.{kind}:
        {what}
    return found
Channel.{verb} = faulty"""


_FEW_DESCRIPTORS = f"""
{_TAKING}
from resource import RLIMIT_NOFILE, setrlimit
ordinary = taking._take
taking._take = lambda *arguments: setrlimit(RLIMIT_NOFILE, (40, 40)) or ordinary(*arguments)"""


def _at(verb: str, kind: str, what: str, *, before: bool = False, imports: str = _TAKING) -> str:
    return _AT.format(imports=imports, verb=verb, kind=kind, what=what, before=before)


async def _goes_on(tap: Upgradable, pair: Pair) -> None:
    """The first process has the connections, old and new ones."""
    assert await talks(pair)
    assert await talks(await tap.pair())
    assert not any("Traceback" in line for line in tap.process.log)


_FAULTS = {
    "dies with the state": (_at("receive", "STATE", "os._exit(9)"), "the other process is gone"),
    "dies ready": (_at("send", "READY", "os._exit(9)", before=True), "the other process is gone"),
    "dies before the commit": (_at("send", "READY", "os._exit(9)"), "the other process is gone"),
    "dies with the commit": (_at("receive", "COMMIT", "os._exit(9)"), "the other process is gone"),
    "hangs with the commit": (_at("receive", "COMMIT", "time.sleep(60)"), "the other process is gone"),
    "hangs with the state": (_at("receive", "STATE", "time.sleep(1.5)"), "the other process says nothing in time"),
    "fails": (f"{_TAKING}\ntaking.load_run = lambda data: 1 / 0", "the other process is gone"),
    "cannot read": (f"{_TAKING}\ntaking.load_run = taking.load_open_state", "no state of open streams"),
}


async def test_a_successor_that_fails_changes_nothing(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        pair = await tap.pair()
        for how, (fault, told) in _FAULTS.items():
            tap.process.log.clear()
            successor = await tap.faulty(fault, "--take-over")
            await tap.process.logged(f"not handed over, going on: {told}")
            await _goes_on(tap, pair)
            assert await successor.ended() != 0, how
        await tap.upgrade()
        assert await talks(pair)


async def test_a_successor_that_may_not_have_so_many_descriptors_changes_nothing(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        pairs = [await tap.pair() for _ in range(30)]
        successor = await tap.faulty(_FEW_DESCRIPTORS, "--take-over")
        assert await successor.ended() == 1
        assert (
            "of 61 descriptors came: the limit of open files (RLIMIT_NOFILE) is too low: the running tap goes on"
            in successor.log[-1]
        )
        await _goes_on(tap, pairs[0])


async def test_a_process_that_dies_standing_still_loses_nothing(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        before = tap.process
        # It takes over, and dies in the middle of handing over in turn.
        tap.process = await tap.faulty(_at("receive", "READY", "os._exit(9)", imports=_GIVING), "--take-over")
        await tap.process.logged("tap execution forwards")
        assert await before.ended() == 0
        pair = await tap.pair()
        dying = tap.process
        tap.process = await tap.faulty("", "--take-over")
        await tap.process.logged("the process before this one died while it handed over")
        assert await dying.ended() == 9
        assert await talks(pair)
        assert await talks(await tap.pair())


@contextmanager
def _asking(tap: Upgradable, **other: object) -> Iterator[Channel]:
    """Has said what a process says first."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(tap.settings.state_dir / "handover-0.sock"))
        talk = Channel(sock)
        talk.within(30)
        taps = json.loads(tap.settings.file.read_text())["gateway"]["taps"]
        described = [[each["name"], each["listen"], each["upstream"], each["carries"], None] for each in taps]
        ordinary = {"protocol": PROTOCOL, "release": __version__, "layout": layout(), "supervised": False, "taps": described}
        talk.send(Kind.HELLO, json.dumps({**ordinary, **other}).encode())
        yield talk


async def test_one_that_says_nothing_more_holds_nobody_up(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        pair = await tap.pair()
        with _asking(tap) as talk:
            assert Hello.decode(talk.receive(Kind.HELLO)[1]).release == __version__
            await _goes_on(tap, pair)
        await tap.process.logged("not handed over, going on: the other process is gone")
        await tap.upgrade()


async def test_who_does_not_fit_is_refused(tmp_path: Path) -> None:
    refusals: dict[str, dict[str, object]] = {
        "cannot hand over to release": {"protocol": PROTOCOL + 1},
        "this tap runs alone": {"supervised": True},
        "gateway.taps is not what it was": {"taps": []},
    }
    async with upgradable(tmp_path) as tap:
        pair = await tap.pair()
        for told, other in refusals.items():
            with _asking(tap, **other) as talk:
                await tap.process.logged(told)
                with pytest.raises(RefusedError, match=told):
                    talk.receive(Kind.HELLO)
            await _goes_on(tap, pair)


async def test_where_nobody_runs_there_is_nothing_to_take_over(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        tap.process.send(signal.SIGTERM)
        assert await tap.process.ended() == 0
        code, _, said = await finished("tap", f"--config={tap.settings.file}", "--take-over")
        assert code == 1
        assert said.splitlines()[-1].startswith("nativelink-gateway tap: --take-over: nobody hands over at ")


async def test_a_release_with_other_decoders_cuts_nothing_and_says_what_it_does_not_read(tmp_path: Path) -> None:
    async with upgradable(tmp_path, tap={"decode_interval_ms": 1}) as tap:
        read, ignored, fresh = [await tap.pair() for _ in range(3)]
        await read.send(read.client, PREFACE + settings())
        await read.read(read.server, len(PREFACE) + 9)
        await ignored.send(ignored.client, b"\x00nothing special")
        await ignored.read(ignored.server, 16)
        before = tap.process
        tap.process = await tap.faulty("import gateway.tap.role as role\nrole.layout = lambda: 'other'", "--take-over")
        await tap.process.logged("tap execution forwards")
        assert await before.ended() == 0
        await fresh.send(fresh.client, PREFACE + settings() + Peer().request(1, EXECUTE))
        for pair in (read, ignored):
            assert await talks(pair)
        async with tap.link() as link:
            records = await link.until_kind("stream_opened")
        opened = {each.connection: each.connection_opened.peer for each in records if each.HasField("connection_opened")}
        addresses = {number: f"127.0.0.1:{pair.client.getsockname()[1]}" for number, pair in enumerate((read, ignored, fresh), 1)}
        assert sorted(opened.values()) == sorted(addresses.values())
        blinded = [each for each in records if each.HasField("blinded")]
        assert [(opened[each.connection], each.blinded.reason) for each in blinded] == [(addresses[1], tap_pb2.Blinded.HANDED_OVER)]
        (stream,) = [each for each in records if each.HasField("stream_opened")]
        assert opened[stream.connection] == addresses[3]
