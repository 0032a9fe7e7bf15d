"""Drains, and the workers that they are about."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.model.records import Worker
from gateway.observe.draining import register as module
from gateway.observe.draining.records import DrainState, Kind, TargetState, Wish
from gateway.observe.draining.register import LEFT_MAX, Register
from gateway.observe.draining.safety import SETTLE_NS
from gateway.observe.introspection.errors import ConflictError, FullError, NotFoundError
from tests.observe.draining.workers import drain, worker, workers


def test_each_selector_means_its_workers() -> None:
    there = workers(worker("red-1", pool="a"), worker("red-2", pool="b"), worker("blue-1", pool="a"))
    register = Register()
    for id_, kind, value, name in (
        ("1", Kind.PREFIX, "red", ""),
        ("2", Kind.PROPERTY, "a", "pool"),
        ("3", Kind.WORKER, "red-2", ""),
    ):
        register.create(drain(id_, kind, value, name), there)
    assert [list(register.get(id_).targets) for id_ in "123"] == [["red-1", "red-2"], ["red-1", "blue-1"], ["red-2"]]
    assert [each.id for each in register] == ["3", "2", "1"]
    assert [each.id for each in register.about("red-1")] == ["1", "2"]
    with pytest.raises(NotFoundError, match="Worker red not found"):
        register.create(drain("4", Kind.WORKER, "red"), there)
    with pytest.raises(NotFoundError, match="Drain 4 not found"):
        register.get("4")


def test_who_connects_is_taken_in_once_what_it_declares_is_known() -> None:
    register, late = Register(), worker("w-2", pool="a")
    late.properties = None
    register.create(drain("p", Kind.PROPERTY, "a", "pool"), {})
    assert not register.look(workers(late), 0)
    late.properties = (("pool", "a"),)
    assert register.look(workers(late), 0)
    assert list(register.get("p").targets) == ["w-2"]
    assert not register.look(workers(late), 0)


def test_a_drain_of_one_worker_ends_with_it_and_others_go_on() -> None:
    register, there = Register(), workers(worker("w"))
    for each in (drain("one", Kind.WORKER, "w"), drain("all")):
        register.create(each, there)
    register.look({}, 7)
    one, other = register.get("one"), register.get("all")
    assert (one.state, one.ended_at, one.gone) == (DrainState.ENDED, 7, 1)
    assert (other.state, other.gone) == (DrainState.ACTIVE, 1)
    assert [each.id for each in register.busy] == ["all"]
    register.look(workers(worker("w2")), 8)
    assert {id_: target.state for id_, target in other.targets.items()} == {
        "w": TargetState.GONE,
        "w2": TargetState.REQUESTED,
    }


def test_until_gone_is_until_the_last_of_them_is_gone() -> None:
    register, there = Register(), workers(worker("w-1"), worker("w-2"))
    for id_, until_gone in (("some", True), ("longer", True), ("none", True)):
        made = drain(id_, value="v" if id_ == "none" else "w")
        made.until_gone = until_gone
        register.create(made, there)
    register.renew(register.get("longer"), until_gone=False)
    register.look(workers(worker("w-2")), 1)
    assert [register.get(id_).state for id_ in ("some", "longer", "none")] == [
        DrainState.ACTIVE,
        DrainState.ACTIVE,
        DrainState.ENDED,
    ]
    assert register.look({}, 2)
    assert [register.get(id_).state for id_ in ("some", "longer")] == [DrainState.ENDED, DrainState.ACTIVE]


def test_of_those_that_are_gone_the_latest_are_kept_and_all_are_counted() -> None:
    register = Register()
    register.create(drain(), {})
    for number in range(LEFT_MAX + 5):
        register.look(workers(worker(f"w{number}")), number)
    register.look({}, 0)
    one = register.get("d-1")
    assert one.gone == LEFT_MAX + 5
    assert list(one.targets) == [f"w{number}" for number in range(5, LEFT_MAX + 5)]


def test_what_is_asked_in_vain_is_asked_again_after_longer_and_longer() -> None:
    register, there = Register(), workers(worker("w"))
    register.create(drain(), there)
    assert register.due(0) == ["w"]
    now, waits = 0.0, []
    for _ in range(8):
        register.failed("w", Wish.DRAIN, now, "refused", "no")
        target = register.get("d-1").targets["w"]
        waits.append(target.retry_at - now)
        assert register.due(target.retry_at - 0.1) == []
        now = target.retry_at
        assert register.due(now) == ["w"]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    register.look(there, 0)
    assert (target.state, target.error) == (TargetState.FAILED, "no")
    register.done("w", Wish.DRAIN, now)
    assert (target.wish, target.error, target.attempts, register.due(now)) == (Wish.NOTHING, "", 0, [])
    assert register.unseen(now) == [("w", Wish.DRAIN)]
    register.look(workers(worker("w", is_draining=True)), 0)
    assert register.unseen(now) == []


def test_one_answer_is_for_every_drain_of_a_worker() -> None:
    register, there = Register(), workers(worker("w"))
    for id_ in ("a", "b"):
        register.create(drain(id_), there)
    register.done("w", Wish.DRAIN, 0)
    assert [register.get(id_).targets["w"].wish for id_ in ("a", "b")] == [Wish.NOTHING, Wish.NOTHING]


def test_cancelling_leaves_workers_draining_or_undrains_those_that_no_other_is_about() -> None:
    register = Register()
    there = workers(worker("w-1", is_draining=True), worker("w-2", is_draining=True))
    for each in (drain("all"), drain("one", Kind.WORKER, "w-1"), drain("left")):
        register.create(each, there)
    register.cancel(register.get("left"), "me", 5, undrain=False)
    assert {target.wish for target in register.get("left").targets.values()} == {Wish.NOTHING}
    register.cancel(register.get("all"), "me", 5, undrain=True)
    cancelled = register.get("all")
    assert (cancelled.state, cancelled.ended_at, cancelled.ended_by) == (DrainState.CANCELLED, 5, "me")
    assert {id_: target.wish for id_, target in cancelled.targets.items()} == {"w-1": Wish.NOTHING, "w-2": Wish.UNDRAIN}
    assert register.wish("w-2") is Wish.UNDRAIN
    with pytest.raises(ConflictError, match="Drain all is cancelled already"):
        register.cancel(cancelled, "me", 6, undrain=True)
    register.done("w-2", Wish.UNDRAIN, 1.0)
    register.look(there, 0)
    assert cancelled in register.busy
    register.look(workers(there["w-1"], worker("w-2")), 0)
    assert cancelled.targets["w-2"].state is TargetState.UNDRAINED
    assert cancelled.final is not None
    assert cancelled.counts() is cancelled.final


def test_a_new_drain_keeps_the_end_of_another_from_undraining_its_workers() -> None:
    register, there = Register(), workers(worker("w", is_draining=True))
    register.create(drain("old"), there)
    register.done("w", Wish.DRAIN, 0)
    register.look(there, 0)
    register.cancel(register.get("old"), "", 1, undrain=True)
    register.create(drain("new"), there)
    assert register.wish("w") is Wish.DRAIN
    register.done("w", Wish.DRAIN, 0)
    assert register.wish("w") is Wish.NOTHING


def test_a_worker_that_cannot_be_undrained_is_given_up_at_last() -> None:
    register, there = Register(), workers(worker("w", is_draining=True))
    register.create(drain(), there)
    register.look(there, 0)
    register.cancel(register.get("d-1"), "", 1, undrain=True)
    for attempt in range(module.UNDRAINS_MAX):
        assert register.busy
        register.failed("w", Wish.UNDRAIN, attempt, "unreachable", "no answer")
        register.look(there, 0)
    target = register.get("d-1").targets["w"]
    assert (target.wish, target.error) == (Wish.NOTHING, "no answer")
    assert register.busy == []


def test_who_wants_a_drain_again_has_those_drained_that_somebody_undrained() -> None:
    register, there = Register(), workers(worker("w", is_draining=True))
    register.create(drain(), there)
    register.done("w", Wish.DRAIN, 0)
    register.look(there, 0)
    register.look(workers(worker("w")), 1)
    assert register.due(0) == []
    register.renew(register.get("d-1"), until_gone=False)
    register.look(workers(worker("w")), 2)
    assert register.due(0) == ["w"]


def test_at_the_bounds_new_ones_are_refused_and_old_ones_that_are_over_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAINS_MAX", 2)
    monkeypatch.setattr(module, "TARGETS_MAX", 3)
    register = Register()
    there = workers(worker("w-1"), worker("w-2"))
    register.create(drain("a"), there)
    with pytest.raises(FullError, match="2 workers are meant, and 3 can be in drains at a time"):
        register.create(drain("b"), there)
    register.create(drain("b", Kind.WORKER, "w-1"), there)
    with pytest.raises(FullError, match="2 drains are active"):
        register.create(drain("c", value="nothing"), there)
    there |= workers(worker("w-3"))
    register.look(there, 0)
    assert (register.get("a").left_out, "w-3" in register.get("a").targets) == (1, False)
    register.cancel(register.get("b"), "", 1, undrain=False)
    register.create(drain("c", value="nothing"), there)
    assert not register.has("b")
    register.look(there, 0)
    assert (register.get("a").left_out, "w-3" in register.get("a").targets) == (0, True)


def test_what_is_over_is_forgotten_after_a_day() -> None:
    register = Register()
    register.create(drain("over"), {})
    register.create(drain("active"), {})
    register.cancel(register.get("over"), "", 10, undrain=False)
    register.forget(10 + module.KEPT_NS)
    assert register.has("over")
    register.forget(11 + module.KEPT_NS)
    assert [each.id for each in register] == ["active"]


class _Farm:
    """NativeLink, which does what it is asked or refuses; workers that come and go; somebody who calls it by hand."""

    def __init__(self) -> None:
        self.register = Register()
        self.there: dict[str, Worker] = {}
        self.now = 0
        self.made = 0

    def connect(self, id_: str) -> None:
        self.there.setdefault(id_, worker(id_))

    def leave(self, id_: str) -> None:
        self.there.pop(id_, None)

    def call_by_hand(self, id_: str) -> None:
        if id_ in self.there:
            self.there[id_].is_draining ^= True

    def create(self, prefix: str) -> None:
        self.made += 1
        self.register.create(drain(str(self.made), value=prefix), self.there)

    def cancel(self, *, undrain: bool) -> None:
        for each in [each for each in self.register.busy if each.is_active][:1]:
            self.register.cancel(each, "", self.now, undrain=undrain)

    def call(self, *, does_it: bool) -> None:
        for worker_id in self.register.due(float("inf")):
            wish = self.register.wish(worker_id)
            if worker_id not in self.there or wish is Wish.NOTHING:
                continue
            if does_it:
                self.there[worker_id].is_draining = wish is Wish.DRAIN
                self.register.done(worker_id, wish, self.now)
            else:
                self.register.failed(worker_id, wish, self.now, "refused", "no")

    def look(self) -> None:
        self.now += SETTLE_NS
        self.register.look(self.there, self.now)
        for each in self.register.busy:
            for target in each.targets.values():
                assert target.state is not TargetState.SAFE or self.there[target.worker_id].is_draining
                is_gone = target.state is TargetState.GONE
                # Of a drain that was cancelled, who is gone stays gone: here workers come back under the same id.
                assert is_gone == (target.worker_id not in self.there) or (is_gone and not each.is_active)


_IDS = st.sampled_from([f"{prefix}{number}" for prefix in "ab" for number in range(3)])
_STEPS = st.one_of(
    st.builds(lambda id_: lambda farm: farm.connect(id_), _IDS),
    st.builds(lambda id_: lambda farm: farm.leave(id_), _IDS),
    st.builds(lambda id_: lambda farm: farm.call_by_hand(id_), _IDS),
    st.builds(lambda prefix: lambda farm: farm.create(prefix), st.sampled_from(["a", "b", "a0"])),
    st.builds(lambda undrain: lambda farm: farm.cancel(undrain=undrain), st.booleans()),
    st.builds(lambda does_it: lambda farm: farm.call(does_it=does_it), st.booleans()),
)


#: Two workers are drained, one leaves, and comes back when the drain was cancelled.
_BACK: list[Callable[[_Farm], None]] = [
    lambda farm: farm.connect("b0"),
    lambda farm: farm.connect("b1"),
    lambda farm: farm.create("b"),
    lambda farm: farm.leave("b0"),
    lambda farm: farm.cancel(undrain=True),
    lambda farm: farm.connect("b0"),
]


@given(st.lists(_STEPS, max_size=60))
@example(_BACK)
def test_whatever_happens_what_is_safe_drains_and_in_the_end_everybody_is_asked(steps: list[Callable[[_Farm], None]]) -> None:
    farm = _Farm()
    for step in steps:
        step(farm)
        farm.look()
    for _ in range(3):
        farm.call(does_it=True)
        farm.look()
    for each in farm.register.busy:
        assert each.is_active
        for worker_id, target in each.targets.items():
            assert target.wish is Wish.NOTHING
            if target.state not in {TargetState.GONE, TargetState.UNDRAINED}:
                assert farm.there[worker_id].is_draining
