from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from gateway.config.types import Address, Config
from tests.serve.implementer import Implementer


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(http=Address("127.0.0.1", 0), scheduler_name="MAIN_SCHEDULER", taps=(), cas=None, state_dir=tmp_path)


@pytest.fixture
async def implementer(config: Config) -> AsyncIterator[Implementer]:
    """Not started: the test fills its state first."""
    implementer = Implementer(f"unix:{config.introspection_socket}")
    yield implementer
    await implementer.stop()
