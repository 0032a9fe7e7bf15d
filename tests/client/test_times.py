import time
from collections.abc import Iterator

import pytest

from gateway.client.times import duration, moment, since, zone


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (-3.0, "0.0s"),
        (0, "0s"),
        (4.26, "4.2s"),
        (9.999, "9.9s"),
        (10.0, "10s"),
        (99, "99s"),
        (100, "1m40s"),
        (184.5, "3m04s"),
        (5_999, "99m59s"),
        (6_000, "1h40m"),
        (172_799, "47h59m"),
        (172_800, "2d00h"),
        (1e12, "11574074d01h"),
    ],
)
def test_how_long(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_ages_are_whole_seconds_and_none_where_nothing_is_known() -> None:
    assert since(None, 10.0) is None
    assert since(4, 10.0) == 6
    assert since(4.5, 10.0) == 5


@pytest.mark.usefixtures("berlin")
def test_moments_are_local_and_the_zone_is_told() -> None:
    assert (moment(1_640_995_200), zone(1_640_995_200)) == ("2022-01-01 01:00:00", "UTC+01:00")
    assert (moment(1_656_633_600.25), zone(1_656_633_600)) == ("2022-07-01 02:00:00.250", "UTC+02:00")


def test_a_time_that_no_calendar_has_stays_a_number() -> None:
    assert moment(None) == "-"
    assert moment(10**30) == f"{10**30}"
    assert zone(10**30) == "UTC+00:00"
