from __future__ import annotations

from pathlib import Path

from gateway.observe.rejected import set_aside


def test_the_latest_that_was_rejected_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for data in (b"one", b"two"):
        file.write_bytes(data)
        assert set_aside(file) == "it is set aside as file.rejected"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"two"]


def test_what_cannot_be_set_aside_is_said_to_stay(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert set_aside(file) == "it is gone"
    file.write_bytes(b"one")
    (tmp_path / "file.rejected").mkdir()
    assert set_aside(file) == "it stays where it is (Is a directory)"
    assert file.read_bytes() == b"one"
