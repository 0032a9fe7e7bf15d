"""What a start makes of the file that it finds: the state, or a clear line and an empty one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.config.types import Address, Carries, Config, Retention, Tap
from gateway.observe.checkpoint import codec, file
from gateway.observe.checkpoint import restore as module
from gateway.observe.checkpoint.restore import OLDEST_NS, Beginning, give_up
from gateway.observe.introspection.history import History
from gateway.observe.observer import model_settings
from gateway.observe.rejected import SUFFIX
from gateway.observe.translate import Translator
from tests.observe.checkpoint.saved import SOURCE, Following, eventful
from tests.observe.checkpoint.test_file import saying
from tests.observe.records import config

WRITTEN = 1_700_000_000_000_000_000


def restored(settings: Config, *sources: str, now: int = WRITTEN) -> Beginning:
    return module.restore(settings, model_settings(settings), sources or [SOURCE], now)


def written(settings: Config, *, history: History | None = None, records: int = 60) -> Following:
    """A checkpoint of a busy observer."""
    following = Following(restored(settings).state, settings)
    following.receive(eventful()[:records])
    state = replace(following.state, history=history)
    file.write(settings.state_dir, partial(codec.dump, state), written_at=WRITTEN, continues=history is not None)
    return following


def test_the_next_process_shows_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    settings = config(tmp_path)
    before = written(settings, history=History("epoch-1"))
    beginning = restored(settings)
    assert beginning.written_at == WRITTEN
    assert Following(beginning.state, settings).shown() == before.shown()
    assert caplog.messages == ["going on from the checkpoint of 2023-11-14T22:13:20Z: 1 workers, 8 operations"]


def test_without_one_it_begins_with_nothing_and_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    beginning = restored(config(tmp_path), "a", "b")
    assert beginning.written_at is None
    assert beginning.state.model.now == 0
    assert beginning.state.translators.keys() == {"a", "b"}
    assert not caplog.messages


def test_one_that_cannot_be_read_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / file.NAME).mkdir()
    assert restored(config(tmp_path)).state.model.now == 0
    assert "cannot read the checkpoint" in caplog.messages[0]
    assert (tmp_path / file.NAME).exists()


def damage(folder: Path) -> None:
    path = folder / file.NAME
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def lie(folder: Path) -> None:
    """A file that is whole and holds no state."""
    file.write(folder, saying(b"no state"), written_at=WRITTEN, continues=False)


def _taps(**changes: object) -> dict[str, object]:
    tap = Tap("execution", Address("127.0.0.1", 50151), Address("127.0.0.1", 50051), frozenset({Carries.EXECUTION}))
    return {"taps": (replace(tap, **changes),)}  # type: ignore[arg-type]  # a test's own words


@pytest.mark.parametrize(
    ("spoil", "changes", "later", "why"),
    [
        (damage, {}, 0, "its checksum is wrong"),
        (lie, {}, 0, "ZstdError: "),
        (None, {"scheduler_name": "OTHER"}, 0, "it is of scheduler 'MAIN_SCHEDULER', and 'OTHER' is configured"),
        (None, {"instances": {"a": "b"}}, 0, "gateway.instances was another"),
        (None, _taps(upstream=Address("h", 1)), 0, "and now to h:1 of 'MAIN_SCHEDULER'"),
        (None, _taps(scheduler="OTHER"), 0, "and now to 127.0.0.1:50051 of 'OTHER'"),
        (None, {}, OLDEST_NS + 1, "it is of 2023-11-14T22:13:20Z, more than a day old"),
    ],
    ids=["damaged", "no state", "scheduler", "instances", "upstream", "scheduler of a tap", "old"],
)
def test_one_that_cannot_be_used_is_set_aside_with_one_line(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None] | None,
    changes: dict[str, object],
    later: int,
    why: str,
) -> None:
    written(config(tmp_path))
    if spoil is not None:
        spoil(tmp_path)
    settings = config(tmp_path, **changes)
    beginning = restored(settings, now=WRITTEN + later)
    assert beginning.state.model.now == 0
    assert beginning.written_at is None
    (line,) = caplog.messages
    assert why in line
    assert f"it is set aside as {file.NAME}{SUFFIX}, and observe begins with what the tap still has" in line
    assert [path.name for path in tmp_path.iterdir()] == [file.NAME + SUFFIX]
    restored(settings)
    assert len(caplog.messages) == 1, "the next start does not meet it"


def test_a_clock_that_was_set_back_does_not_make_it_old(tmp_path: Path) -> None:
    written(config(tmp_path))
    assert restored(config(tmp_path), now=WRITTEN - OLDEST_NS * 2).written_at == WRITTEN


def test_settings_are_those_of_the_configuration(tmp_path: Path) -> None:
    written(config(tmp_path))
    settings = config(tmp_path, retention=Retention(completed_max=1))
    model = restored(settings).state.model
    assert model.settings == model_settings(settings)
    assert model.counts().completed == 1
    model.validate()


def test_taps_may_come_and_go(tmp_path: Path) -> None:
    written(config(tmp_path))
    settings = config(tmp_path, **_taps(name="another", upstream=Address("h", 1)))
    assert restored(settings).state.model.workers


def test_what_went_by_a_link_that_is_gone_has_ended(tmp_path: Path) -> None:
    before = written(config(tmp_path))
    assert before.model.workers
    state = restored(config(tmp_path), "other").state
    assert state.translators.keys() == {"other"}
    assert not state.model.workers
    assert state.model.now == before.model.now
    assert state.translators["other"]._cacheability is state.cacheability
    state.model.validate()


def test_a_link_that_was_never_read_leaves_nothing(tmp_path: Path) -> None:
    settings = config(tmp_path)
    before = Following(restored(settings).state)
    before.receive(eventful()[:60])
    before.state.translators["unread"] = Translator(settings)
    file.write(tmp_path, partial(codec.dump, before.state), written_at=WRITTEN, continues=False)
    assert restored(settings).state.model.workers


# --- epochs -----------------------------------------------------------------------------------------------------------


def test_one_that_was_written_at_stop_continues_its_epoch_once(tmp_path: Path) -> None:
    settings = config(tmp_path)
    written(settings, history=History("epoch-1"))
    beginning = restored(settings)
    assert beginning.is_published
    assert beginning.history.epoch == "epoch-1"
    again = restored(settings)
    assert not again.is_published
    assert again.history.epoch != "epoch-1"
    assert again.state.model.workers


def test_one_that_was_not_begins_an_epoch(tmp_path: Path) -> None:
    settings = config(tmp_path)
    written(settings)
    assert not restored(settings).is_published


def test_counts_go_on_with_their_epoch_and_begin_with_the_next(tmp_path: Path) -> None:
    """A count that goes back a little is worse than one that begins anew: whoever adds up its growth takes all of it for new."""
    settings = config(tmp_path)
    counted = written(settings, history=History("epoch-1")).state.statistics
    assert counted.worker_connections
    going_on, anew = (restored(settings).state.statistics for _ in range(2))
    assert (going_on.worker_connections, going_on.results) == (counted.worker_connections, counted.results)
    assert (anew.worker_connections, anew.workers) == (0, counted.workers)


@pytest.mark.parametrize("what", ["settings", "release", "links", "disk"])
def test_what_would_be_shown_otherwise_begins_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    settings = config(tmp_path)
    written(settings, history=History("epoch-1"))
    source = SOURCE
    if what == "settings":
        settings = config(tmp_path, retention=Retention(completed_s=1))
    elif what == "release":
        monkeypatch.setattr("gateway.__version__", "0.1.1")
    elif what == "links":
        source = "other"
    else:
        monkeypatch.setattr(file, "claim", lambda _: False)
    beginning = restored(settings, source)
    assert not beginning.is_published
    assert beginning.history.epoch != "epoch-1"
    assert beginning.written_at == WRITTEN


def test_after_a_defect_the_next_start_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = config(tmp_path)
    written(settings)
    give_up(settings)
    assert "observe ended by a defect" in caplog.messages[0]
    assert restored(settings).state.model.now == 0
