from pathlib import Path

import pytest

from gateway.config import document
from gateway.config.problems import Problems
from gateway.errors import ConfigurationError
from tests.config.files import problems, written


def test_a_mistake_in_the_syntax_is_told_with_line_and_column(tmp_path: Path) -> None:
    assert problems(tmp_path, "{\n  gateway: {}\n  more: 1,\n}") == [
        f'{tmp_path}/gateway.json5: line 3, column 3: not JSON5: Unexpected "m"'
    ]
    assert problems(tmp_path, "{ gateway: {") == [
        f"{tmp_path}/gateway.json5: line 1, column 13: not JSON5: Unexpected end of input"
    ]


def test_a_file_that_is_cut_off_or_odd_is_one_problem_not_a_traceback(tmp_path: Path) -> None:
    file = f"{tmp_path}/gateway.json5"
    assert problems(tmp_path, "") == [f"{file}: not JSON5: Empty strings are not legal JSON5"]
    assert problems(tmp_path, "[" * 100_000) == [f"{file}: nested too deeply: a configuration file"]
    assert problems(tmp_path, "[1]") == [f"{file}: [1]: an object, {{ … }}"]
    assert problems(tmp_path, '{gateway: {state_dir: "a\nb"}}')[0].endswith('not JSON5: Unexpected "\\n"')


def test_a_key_that_is_written_twice_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, "{gateway: {}, gateway: {}}") == [
        f'{tmp_path}/gateway.json5: not JSON5: Duplicate key "gateway" found in object'
    ]


def test_bytes_that_are_no_text_are_told_with_their_place(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json5"
    file.write_bytes(b"{\xff}")
    noted = Problems()
    assert document.read_document(file, noted) is None
    with pytest.raises(ConfigurationError, match="byte 1 is not UTF-8"):
        noted.raise_any()


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff{a: 1}")
    assert document.read_document(file, Problems()) == {"a": 1}


def test_a_directory_and_a_huge_file_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Problems()
    assert document.read_document(tmp_path, noted) is None
    monkeypatch.setattr(document, "_BYTES_MAX", 3)
    assert document.read_document(written(tmp_path, "{   }"), noted) is None
    with pytest.raises(ConfigurationError) as raised:
        noted.raise_any()
    assert [each.split(": ")[1].split(" (")[0] for each in raised.value.problems] == ["cannot be read", "longer than 3 bytes"]
