from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from gateway.config.types import Address, Config
from gateway.pb import introspection_pb2 as pb
from tests.serve.builders import documented_operation, documented_scheduler, documented_worker, operation, properties, worker
from tests.serve.implementer import Implementer
from tests.serve.running import serving


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """That of the role which is asked."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(http=Address("127.0.0.1", 0), scheduler_name="MAIN_SCHEDULER", taps=(), cas=None, state_dir=tmp_path)


@pytest.fixture
async def implementer(config: Config) -> AsyncIterator[Implementer]:
    """With the documentation's examples, and what a hostile build might be called."""
    implementer = Implementer(f"unix:{config.introspection_socket}")
    hostile = operation(3, id_="op-\x1b[2J", priority=7, insert=1_640_995_210)
    hostile.detail.clients.add(
        client_operation_id="c", peer="p"
    ).request_metadata.target_id = "//[red]evil[/red]:\x1b]0;x\x07\u202e"
    paused = worker(5, "worker-5", connected=1_640_995_100)
    paused.properties.CopyFrom(properties(pool="\x9b31m[bold]"))
    paused.is_paused = True
    known = documented_operation()
    known.detail.clients.add(client_operation_id="client-op-456", peer="10.0.0.1:1").request_metadata.target_id = "//a:b"
    known.detail.story.add(text="Queued").at.seconds = 1_640_995_201
    done = operation(4, pb.STAGE_COMPLETED, id_="op-4", worker_id="worker-123", insert=1_640_995_100)
    done.detail.exit_code = 2
    implementer.set([documented_worker(), paused], [known, hostile, done], documented_scheduler())
    await implementer.start()
    yield implementer
    await implementer.stop()


@pytest.fixture
async def url(config: Config, implementer: Implementer) -> AsyncIterator[str]:
    """Of a real `serve` that knows what the implementer has."""
    async with serving(config) as client:
        yield f"http://127.0.0.1:{client.port}"
