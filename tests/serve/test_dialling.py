"""`serve` and `observe` on two machines, as far as one machine can show it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from gateway.config.trust import DialTls, ListenerTls
from gateway.config.types import Address, Config, Introspection
from gateway.errors import StartError
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.serve.dialling import Dial
from tests.certificates import Authority
from tests.command import free_ports
from tests.observe import records
from tests.observe.test_role import observing
from tests.serve.implementer import Implementer
from tests.serve.test_upstream import following, until_down, until_up


def there(tmp_path: Path, tls: ListenerTls) -> Config:
    """Of the machine of `observe`."""
    (port,) = free_ports(1)
    return records.config(tmp_path / "there", introspection=Introspection(listen=Address("127.0.0.1", port), tls=tls))


def here(config: Config, observe: Config, tls: DialTls) -> Config:
    """Of the machine of `serve`."""
    return replace(config, introspection=Introspection(endpoint=observe.introspection.listen, endpoint_tls=tls))


async def test_observe_of_another_machine_is_followed_and_again_when_it_is_back(tmp_path: Path, config: Config) -> None:
    authority = Authority(tmp_path)
    observe = there(tmp_path, authority.issue("observe").listener(authority.file))
    settings = here(config, observe, authority.issue("serve").dial(authority.file))
    async with following(settings) as upstream:
        async with observing(observe):
            await until_up(upstream)
            assert upstream.name == f"gateway.introspection.endpoint {observe.introspection.listen}"
            assert upstream.replica is not None
            assert upstream.replica.scheduler.name == "MAIN_SCHEDULER"
        await until_down(upstream, "")
        async with observing(observe):
            await until_up(upstream)
            # This machine's serve reads the unix socket, as ever.
            async with following(replace(observe, introspection=Introspection())) as local:
                await until_up(local)


async def test_who_shows_no_certificate_of_the_authority_learns_nothing(tmp_path: Path, config: Config) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    observe = there(tmp_path, authority.issue("observe").listener(authority.file))
    address = str(observe.introspection.listen)
    bare = grpc.ssl_channel_credentials(authority.file.read_bytes())
    async with observing(observe) as stub:
        await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
        for channel in (grpc.aio.secure_channel(address, bare), grpc.aio.insecure_channel(address)):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await IntrospectionStub(channel).GetScheduler(pb.GetSchedulerRequest())
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        stranger = other.issue("stranger")
        async with following(here(config, observe, stranger.dial(authority.file))) as upstream:
            await until_down(
                upstream, "the client_ca_file there has to be of the authority of gateway.introspection.endpoint_tls.cert_file"
            )
            # New files are taken as they come.
            authority.issue("stranger")
            await until_up(upstream)


async def test_what_is_wrong_with_the_other_side_is_said(tmp_path: Path, config: Config) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    observe = there(tmp_path, authority.issue("observe").listener(authority.file))
    ours = authority.issue("serve")
    async with observing(observe) as stub:
        await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
        async with following(here(config, observe, ours.dial(other.file))) as upstream:
            await until_down(upstream, "its certificate is of no authority in gateway.introspection.endpoint_tls.ca_file")
        async with following(here(config, observe, ours.dial(authority.file, "else.where"))) as upstream:
            await until_down(upstream, "its certificate is not for the host that is dialled")
    plain = Implementer("127.0.0.1:0")
    async with plain:
        port = int(plain.address.rpartition(":")[2])
        endpoint = Introspection(endpoint=Address("127.0.0.1", port), endpoint_tls=ours.dial(authority.file))
        async with following(replace(config, introspection=endpoint)) as upstream:
            await until_down(upstream, "it speaks plaintext: no gateway.introspection.endpoint_tls, or tls there")
    async with following(replace(config, introspection=endpoint)) as upstream:
        await until_down(upstream, "Connection refused")


async def test_a_certificate_that_has_ended_is_said_to_have_and_a_new_one_is_taken(tmp_path: Path, config: Config) -> None:
    authority, yesterday = Authority(tmp_path), datetime.now(UTC) - timedelta(days=1)
    observe = there(tmp_path, authority.issue("observe", not_after=yesterday).listener(authority.file))
    settings = here(config, observe, authority.issue("serve").dial(authority.file))
    async with observing(observe), following(settings) as upstream:
        await until_down(upstream, "its certificate has ended")
        authority.issue("observe")
        await until_up(upstream)
    authority.issue("serve", not_after=yesterday)
    async with observing(observe), following(settings) as upstream:
        await until_down(upstream, "endpoint_tls.cert_file, which must not have ended")
        authority.issue("serve")
        await until_up(upstream)


async def test_observe_takes_new_certificates_as_they_come(tmp_path: Path, config: Config) -> None:
    before, after = Authority(tmp_path, "before"), Authority(tmp_path, "after")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(before.file.read_bytes())
    observe = there(tmp_path, before.issue("observe").listener(trusted))
    async with observing(observe):
        async with following(here(config, observe, before.issue("serve").dial(before.file))) as upstream:
            await until_up(upstream)
        after.issue("observe")
        trusted.write_bytes(after.file.read_bytes())
        async with following(here(config, observe, after.issue("serve").dial(after.file))) as upstream:
            await until_up(upstream)


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path, config: Config) -> None:
    tls = DialTls(tmp_path / "none.pem", tmp_path / "c.pem", tmp_path / "k.pem")
    with pytest.raises(StartError, match=r"gateway\.introspection\.endpoint_tls\.\w+: .*\.pem: No such file or directory"):
        Dial(replace(config, introspection=Introspection(endpoint=Address("127.0.0.1", 1), endpoint_tls=tls)))
