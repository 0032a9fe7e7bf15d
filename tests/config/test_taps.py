from pathlib import Path

from tests.config.files import loaded, problems, tap


def test_there_is_at_least_one_tap_and_not_too_many(tmp_path: Path) -> None:
    right = "at least one tap and at most 64: without one there is nothing to see"
    assert problems(tmp_path, {"gateway": {"taps": []}}) == [f"gateway.taps: []: {right}"]
    many = [tap(name=f"t{port}", listen=f"127.0.0.1:{port}") for port in range(7000, 7065)]
    assert problems(tmp_path, {"gateway": {"taps": many}})[0].endswith(right)
    assert len(loaded(tmp_path, {"gateway": {"taps": many[:64]}}).taps) == 64


def test_taps_are_a_list_of_objects(tmp_path: Path) -> None:
    assert problems(tmp_path, {"gateway": {"taps": {"execution": {}}}}) == [
        'gateway.taps: {"execution": {}}: a list of objects, [{ … }]'
    ]
    assert problems(tmp_path, {"gateway": {"taps": ["execution"]}})[0] == 'gateway.taps[0]: "execution": an object, { … }'


def test_taps_null_is_no_list_of_ones_own(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, {"gateway": {"taps": None}}).taps) == 2
