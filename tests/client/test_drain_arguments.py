from __future__ import annotations

import pytest

from gateway.cli.arguments import parse


@pytest.mark.parametrize(
    "arguments",
    [
        ["drain"],
        ["drain", "w-1", "--id-prefix", "w-"],
        ["drain", "--id-prefix", "w-", "--property", "a=b"],
        ["drain", "--property", "a"],
        ["drain", "w-1", "--wait", "-1"],
        ["drain", "w-1", "--wait", "soon"],
        ["undrain"],
        ["undrain", "w-1", "--drain", "d-1"],
        ["drains", "a", "b"],
    ],
)
def test_mistakes_are_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "usage: nativelink-gateway" in capsys.readouterr().err


def test_what_was_said_is_there() -> None:
    options = parse(["drain", "--property", "pool=a=b", "--until-gone", "--wait", "600"])
    assert (options.id, options.id_prefix, options.property, options.until_gone, options.wait) == (
        None,
        None,
        ("pool", "a=b"),
        True,
        600.0,
    )
    assert parse(["undrain", "--drain", "d-1", "--leave"]).leave
    assert (parse(["drains"]).id, parse(["drains"]).wait) == (None, None)
