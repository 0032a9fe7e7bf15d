"""Taps on one machine and observe on another, as far as one machine can show it: records come over mutual TLS only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.config.types import Address, RecordEndpoint, RecordLink
from gateway.pb import introspection_pb2 as pb
from tests.certificates import Authority
from tests.command import free_ports
from tests.observe.records import config
from tests.observe.test_role import observing, scheduler, until
from tests.tap.running import configuration, free_port, running


async def test_observe_follows_taps_of_other_machines_and_none_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours, stranger = authority.issue("observe"), Authority(tmp_path, "other").issue("stranger")
    first, second = free_ports(2)
    shown = authority.issue("tap").listener(authority.file)
    there = [
        replace(
            configuration(tmp_path / str(port), free_port(), free_port()), record_link=RecordLink(Address("127.0.0.1", port), shown)
        )
        for port in (first, second)
    ]

    def here(*dialled: RecordEndpoint) -> RecordLink:
        return RecordLink(local=False, endpoints=dialled)

    good = [RecordEndpoint(Address("127.0.0.1", port), ours.dial(authority.file)) for port in (first, second)]
    settings = config(tmp_path / "observe", record_link=here(*good))
    async with running(there[0]), observing(settings) as stub:
        names = [f"127.0.0.1:{port}" for port in (first, second)]

        async def attached(expected: list[bool]) -> bool:
            processes = (await scheduler(stub)).tap_processes
            return [(each.name, each.attached) for each in processes] == list(zip(names, expected, strict=True))

        await until(lambda: attached([True, False]))
        state = await scheduler(stub)
        assert state.health.status == pb.Health.DEGRADED
        assert any(names[1] in reason for reason in state.health.reasons)
        async with running(there[1]):
            await until(lambda: attached([True, True]))
            state = await scheduler(stub)
            assert state.health.status == pb.Health.HEALTHY
            assert all(tap.attached for tap in state.taps)
        await until(lambda: attached([True, False]))
        assert not (settings.state_dir / "tap-0.sock").exists()

    refused = [RecordEndpoint(Address("127.0.0.1", first), stranger.dial(authority.file))]
    settings = config(tmp_path / "refused", record_link=here(*refused))
    async with running(there[0]), observing(settings) as stub:

        async def tried() -> bool:
            return any("broke" in reason or "closed" in reason for reason in (await scheduler(stub)).health.reasons)

        await until(tried)
        assert (await scheduler(stub)).health.status == pb.Health.UNHEALTHY
