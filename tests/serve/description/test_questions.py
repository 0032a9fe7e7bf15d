import pytest

from gateway.serve import parameters
from gateway.serve.description.questions import WORKERS_LIMIT, questions


def test_each_name_is_explained_in_its_order() -> None:
    for names in (parameters.WORKERS, parameters.OPERATIONS, parameters.EVENTS, parameters.ENTITY, parameters.OPERATION):
        assert tuple(each.name for each in questions(names)) == names


def test_what_means_something_else_somewhere_is_explained_there() -> None:
    assert questions(["view", "limit"], WORKERS_LIMIT)[1] is WORKERS_LIMIT
    assert questions(["view", "limit"])[1] is not WORKERS_LIMIT


def test_a_name_that_nobody_explains_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        questions(["colour"])
