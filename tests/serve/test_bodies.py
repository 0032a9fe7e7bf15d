import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.serve import bodies as bodies_module
from gateway.serve.bodies import Bodies, ListBody, json_list


def body(size: int) -> ListBody:
    return ListBody(b" " * size, 0, "")


@given(st.lists(st.integers()))
def test_a_list_of_encoded_elements_is_the_encoded_list(values: list[int]) -> None:
    encoded = json_list(iter([str(value).encode() for value in values]))
    assert encoded == json.dumps(values, separators=(",", ":")).encode()


def test_a_body_is_kept_for_its_revision_only() -> None:
    bodies = Bodies()
    made = body(5)
    bodies.put("query", 1, made)
    assert bodies.get("query", 1) is made
    assert bodies.get("query", 2) is None
    assert bodies.get("other", 1) is None
    bodies.put("query", 2, body(3))
    assert bodies.get("query", 1) is None
    assert bodies.size_bytes == 3


def test_over_the_bound_what_was_asked_for_longest_ago_goes() -> None:
    bodies = Bodies(kept_bytes=10)
    for query in "ab":
        bodies.put(query, 1, body(5))
    bodies.get("a", 1)
    bodies.put("c", 1, body(5))
    assert [query for query in "abc" if bodies.get(query, 1)] == ["a", "c"]
    assert bodies.size_bytes == 10


def test_a_body_over_the_bound_is_not_kept_and_takes_its_predecessor_with_it() -> None:
    bodies = Bodies(kept_bytes=10)
    bodies.put("a", 1, body(5))
    bodies.put("a", 2, body(11))
    assert bodies.get("a", 1) is bodies.get("a", 2) is None
    assert bodies.size_bytes == 0


def test_empty_bodies_are_bounded_too() -> None:
    bodies = Bodies()
    for query in range(bodies_module._KEPT_ENTRIES + 1):
        bodies.put(query, 1, body(0))
    assert bodies.get(0, 1) is None
    assert bodies.get(1, 1) is not None
