"""When checkpoints are written, on real files and with real copies of the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.types import Config, Observe
from gateway.observe.checkpoint import codec, file
from gateway.observe.checkpoint.writer import CheckpointWriter
from gateway.observe.introspection.history import History
from tests.command import PATIENCE_S
from tests.observe.checkpoint.saved import Following, eventful
from tests.observe.checkpoint.test_going_on import empty
from tests.observe.records import config


class Writing:
    def __init__(self, settings: Config) -> None:
        self.folder = settings.state_dir
        self.following = Following(empty())
        self.following.receive(eventful()[:60])
        self.batches = 1
        self.writer = CheckpointWriter(settings, self.following.state, lambda: self.batches)

    def is_failing(self) -> bool:
        return self.writer.problem is not None

    def identity(self) -> tuple[int, int] | None:
        """Of the file that is there."""
        try:
            found = (self.folder / file.NAME).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    async def until_another(self, before: tuple[int, int] | None) -> tuple[int, int]:
        async with asyncio.timeout(PATIENCE_S):
            while (now := self.identity()) in {before, None}:  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.002)
        assert now is not None
        return now

    def loaded(self) -> Following:
        contents = file.read(self.folder)
        assert contents is not None
        return Following(codec.load(contents.data))


@asynccontextmanager
async def writing(folder: Path, interval_s: float = 0.01) -> AsyncIterator[Writing]:
    made = Writing(config(folder, observe=Observe(interval_s)))
    task = asyncio.create_task(made.writer.run(), name="checkpoints")
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_written_is_what_was_seen(tmp_path: Path) -> None:
    async with writing(tmp_path) as made:
        await made.until_another(None)
        assert made.loaded().shown() == made.following.shown()
        contents = file.read(tmp_path)
        assert contents is not None
        assert not contents.continues


async def test_it_is_written_again_only_when_something_was_seen(tmp_path: Path) -> None:
    async with writing(tmp_path) as made:
        first = await made.until_another(None)
        await asyncio.sleep(0.2)
        assert made.identity() == first
        made.batches += 1
        await made.until_another(first)


async def test_before_anything_was_seen_nothing_is_written(tmp_path: Path) -> None:
    async with writing(tmp_path) as made:
        made.batches = 0
        await asyncio.sleep(0.1)
        made.writer.finish(History("epoch"))
        assert made.identity() is None


async def test_an_interval_of_nothing_is_only_at_stop(tmp_path: Path) -> None:
    async with writing(tmp_path, 0) as made:
        await asyncio.sleep(0.1)
        assert made.identity() is None
        made.writer.finish(History("epoch"))
        contents = file.read(tmp_path)
        assert contents is not None
        assert contents.continues
        history = codec.load(contents.data).history
        assert history is not None
        assert history.epoch == "epoch"
        assert made.following.state.history is None


async def test_what_cannot_be_written_is_said_once_and_that_it_can_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = tmp_path / "state"
    async with writing(folder) as made:
        async with asyncio.timeout(PATIENCE_S):
            while not made.is_failing():  # noqa: ASYNC110 - another process finds out
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        (line,) = caplog.messages
        assert "No such file or directory" in line
        assert "(gateway.state_dir)" in line
        folder.mkdir()
        await made.until_another(None)
        async with asyncio.timeout(PATIENCE_S):
            while made.is_failing():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        assert caplog.messages[1:] == [f"checkpoints can be written again: {folder / file.NAME}"]


def test_what_cannot_be_written_at_stop_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Writing(config(tmp_path / "state"))
    made.writer.finish(History("epoch"))
    assert "No such file or directory" in caplog.messages[0]
    assert made.writer.problem == "No such file or directory"


def test_a_last_one_that_takes_too_long_leaves_the_one_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = Writing(config(tmp_path))
    made.writer.finish(History("epoch"))
    before = made.identity()
    hurried = Writing(config(tmp_path, stop_timeout_s=0.0))
    hurried.writer.finish(History("epoch"))
    assert "it takes too long for a stop" in caplog.messages[0]
    assert made.identity() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.NAME]
