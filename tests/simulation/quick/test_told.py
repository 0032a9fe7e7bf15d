from __future__ import annotations

from gateway.simulation.outbox import Outbox
from gateway.simulation.quick.told import Told, follow


def test_messages_are_handed_on_as_they_come_and_the_end_once() -> None:
    said: list[str] = []
    told = Told(said.append, lambda: said.append("end"))
    told.put("first")
    told.put("second", overtake=True)
    told.close()
    told.close()
    told.put("too late")
    assert said == ["first", "second", "end"]
    assert not told.waiting()


def test_what_waited_in_an_outbox_comes_first_its_end_included() -> None:
    said: list[str] = []
    before: Outbox[str] = Outbox()
    before.put("before")
    after = follow(before, Told(said.append, lambda: said.append("end")))
    after.put("after")
    assert said == ["before", "after"]
    before.close()
    assert not after.is_closed
    follow(before, Told(said.append, lambda: said.append("end")))
    assert said[2:] == ["before", "end"]
