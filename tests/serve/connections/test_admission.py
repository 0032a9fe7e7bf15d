import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serve.connections.admission import Admission, Full, Place, connections_that_fit, peer_of
from gateway.serve.connections.limits import RESERVED_DESCRIPTORS, TURNED_AWAY


def test_a_peer_that_has_its_connections_gets_no_more_and_others_do() -> None:
    admission = Admission(2, 10)
    places = [admission.enter("192.0.2.1") for _ in range(2)]
    assert admission.enter("192.0.2.1") is Full.PEER
    assert admission.enter("::ffff:192.0.2.1") is Full.PEER
    assert isinstance(admission.enter("192.0.2.2"), Place)
    assert isinstance(places[0], Place)
    places[0].leave()
    assert isinstance(admission.enter("192.0.2.1"), Place)


def test_over_all_connections_somebody_has_to_make_room() -> None:
    admission = Admission(10, 2)
    assert isinstance(admission.enter("192.0.2.1"), Place)
    assert isinstance(admission.enter("192.0.2.2"), Place)
    assert admission.enter("192.0.2.3") is Full.ALL
    admission.make_room = lambda: True
    assert isinstance(admission.enter("192.0.2.3"), Place)


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_one_customer_has_is_one_peer(address: str, peer: str) -> None:
    assert peer_of(address) == peer


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["192.0.2.1", "192.0.2.2", "::1"])), max_size=50))
def test_counts_are_those_of_the_places_that_are_taken(steps: list[tuple[bool, str]]) -> None:
    admission = Admission(3, 5)
    taken: list[Place] = []
    for enters, address in steps:
        if enters:
            place = admission.enter(address)
            if isinstance(place, Place):
                taken.append(place)
            else:
                assert len(taken) == 5 or sum(each.peer == address for each in taken) == 3
        elif taken:
            taken.pop().leave()
        assert admission.used == len(taken)
        assert admission.peers == {peer: sum(each.peer == peer for each in taken) for peer in {each.peer for each in taken}}


def test_there_are_as_many_as_open_files_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, wanted, fit in (
        (1_024, 8_192, 1_024 - RESERVED_DESCRIPTORS - TURNED_AWAY),
        (100, 8_192, 1),
        (100_000, 8_192, 8_192),
        (resource.RLIM_INFINITY, 8_192, 8_192),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert connections_that_fit(wanted) == fit
