from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gateway.client.sheet import Column, Sheet


def drawn(sheet: Sheet, width: int) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width, markup=False, emoji=False, highlight=False).print(sheet.table(width))
    return [line.rstrip() for line in text.getvalue().splitlines()]


IDS = ("0196a3f2-7c5e-7d11-9a52-000000000001", "0196a3f2-7c5e-7d11-9a52-000000000002", "ff")


def sheet(ids: Sequence[str] = IDS) -> Sheet:
    return Sheet(
        [
            Column("ID", ids, is_id=True),
            Column("N", ["1", "22", "333"], is_number=True),
            Column("MORE", ["some", "text", "here"], left_out=1),
            Column("TARGET", ["//a:b", "//a/very/long/name/of/some:target", "-"], is_cut=True),
        ]
    )


def test_wide_enough_everything_is_there() -> None:
    whole = [
        "ID                                      N  MORE  TARGET",
        "0196a3f2-7c5e-7d11-9a52-000000000001    1  some  //a:b",
        "0196a3f2-7c5e-7d11-9a52-000000000002   22  text  //a/very/long/name/of/some:target",
        "ff                                    333  here  -",
    ]
    assert drawn(sheet(), 100) == whole
    assert list(sheet().lines()) == whole


def test_narrower_the_end_of_what_can_be_cut_is_kept_then_ids_get_short() -> None:
    assert drawn(sheet(), 81)[2] == "0196a3f2-7c5e-7d11-9a52-000000000002   22  text  …a/very/long/name/of/some:target"
    ids = ("0196a3f2-7c5e-7d11-9a52-000000000001", "1196a3f2-7c5e-7d11-9a52-000000000002", "ff")
    assert drawn(sheet(ids), 70) == [
        "ID           N  MORE  TARGET",
        "0196a3f2…    1  some  //a:b",
        "1196a3f2…   22  text  //a/very/long/name/of/some:target",
        "ff         333  here  -",
    ]


def test_narrower_still_columns_are_left_out_and_in_the_end_ids_go_on_below_so_that_none_is_ambiguous() -> None:
    assert drawn(sheet(), 60) == [
        "ID                                      N  TARGET",
        "0196a3f2-7c5e-7d11-9a52-000000000001    1  //a:b",
        "0196a3f2-7c5e-7d11-9a52-000000000002   22  …e/of/some:target",
        "ff                                    333  -",
    ]
    lines = drawn(sheet(), 30)
    ids = [line[: lines[0].index("N") - 4].strip() for line in lines[1:]]
    assert len(ids) > len(IDS)
    assert "".join(ids) == "".join(IDS)


def test_what_may_go_on_below_does_before_ids_get_short() -> None:
    properties = ["cpu=1 memory=12345 pool=x more=than fits=there"]
    folded = Sheet([Column("ID", ["0196a3f2-7c5e"], is_id=True), Column("PROPERTIES", properties, is_folded=True)])
    assert drawn(folded, 50) == [
        "ID             PROPERTIES",
        "0196a3f2-7c5e  cpu=1 memory=12345 pool=x more=than",
        "               fits=there",
    ]


def test_text_is_no_markup() -> None:
    assert drawn(Sheet([Column("A", ["[red]x[/red] :smile: [/]"])]), 40)[1] == "[red]x[/red] :smile: [/]"


def test_a_sheet_without_rows_has_titles() -> None:
    assert drawn(Sheet([Column("A", [], is_id=True), Column("B", [], is_cut=True)]), 40) == ["A  B"]


@given(
    st.lists(st.tuples(st.text("ab工", min_size=1, max_size=40), st.text("cd工 ", max_size=40)), max_size=5), st.integers(20, 120)
)
@pytest.mark.filterwarnings("error")
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, str]], width: int) -> None:
    made = Sheet([Column("ID", [a for a, _ in rows], is_id=True), Column("T", [b for _, b in rows], is_cut=True)])
    console = Console(width=width)
    assert all(console.measure(line).maximum <= width for line in drawn(made, width))
