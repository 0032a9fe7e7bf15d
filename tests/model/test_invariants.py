import pytest

from tests.model.builders import EXECUTING, Scene, key


def test_a_wrong_count_is_found() -> None:
    scene = Scene()
    scene.connect()
    scene.model._register.accepting = 2
    with pytest.raises(AssertionError, match="workers are counted"):
        scene.model.validate()


def test_what_is_wrong_about_an_entity_is_told_with_its_story() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    del scene.worker().running["op1"]
    with pytest.raises(AssertionError, match=r"w1 runs it(.|\n)*\d+ Executing") as raised:
        scene.model.validate()
    assert "op1" in str(raised.value)
