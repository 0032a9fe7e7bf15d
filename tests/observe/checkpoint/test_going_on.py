"""Same records, same answers of the CAS, same configuration: same state, however often it was saved and loaded on the way (P7)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observe.checkpoint.restore import restore
from gateway.observe.checkpoint.state import State
from gateway.observe.observer import model_settings
from gateway.pb import tap_pb2
from tests.e2e.recordings import SETTINGS
from tests.observe.checkpoint.saved import SOURCE, Following, eventful, through
from tests.observe.records import config
from tests.observe.test_recordings import NAMES, records


@cache
def recorded(name: str) -> tuple[tap_pb2.TapRecord, ...]:
    return tuple(records(name))


@cache
def eventful_records() -> tuple[tap_pb2.TapRecord, ...]:
    return tuple(eventful())


def empty(name: str = "") -> State:
    changed: dict[str, object] = {"scheduler": SETTINGS[name]} if name in SETTINGS else {}
    settings = config(Path("/nonexistent"), instances={"other": "OTHER"}, **changed)
    return restore(settings, model_settings(settings), [SOURCE], 0).state


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_that_is_cut_again_and_again_is_shown_as_one_that_is_not(name: str) -> None:
    found = recorded(name)
    undisturbed, disturbed = Following(empty(name)), Following(empty(name))
    for record in found:
        undisturbed.receive([record])
        disturbed.receive([record])
        disturbed = Following(through(disturbed.state))
        assert disturbed.shown() == undisturbed.shown()


def test_gaps_and_runs_and_everything_else_may_be_cut_too() -> None:
    undisturbed, disturbed = Following(empty()), Following(empty())
    for record in eventful_records():
        undisturbed.receive([record])
        disturbed.receive([record])
        disturbed = Following(through(disturbed.state))
        assert disturbed.shown() == undisturbed.shown()
    assert undisturbed.model.records_missed == 20
    assert undisturbed.translator.foreign["OTHER"] == 2


@given(data=st.data())
@settings(max_examples=25)
def test_cuts_may_be_anywhere(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    found = recorded(name)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(found)), min_size=1, max_size=3)))
    undisturbed, disturbed = Following(empty(name)), Following(empty(name))
    undisturbed.receive(found)
    for begin, end in zip([0, *cuts], [*cuts, len(found)], strict=True):
        disturbed.receive(found[begin:end])
        disturbed = Following(through(disturbed.state))
        disturbed.model.validate()
    assert disturbed.shown() == undisturbed.shown()
