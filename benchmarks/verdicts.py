"""What was measured, judged: rounds of values in; medians, spread and ratios with floors and aims printed, an exit code out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence


def share(values: Sequence[float], part: float) -> float:
    """The value that so large a part of all is not above."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def in_turn(names: Sequence[str], rounds: int, measure: Callable[[str], float]) -> dict[str, list[float]]:
    """Values of each, round by round, the order turned round from round to round."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(measure(name))
    return found


class Verdicts:
    """Keeps count of floors that were missed."""

    def __init__(self) -> None:
        self._missed: list[str] = []

    def values(self, found: Mapping[str, Sequence[float]], unit: str) -> None:
        """What was measured, by name."""
        for name, values in found.items():
            print(
                f"{name:>16}: median {statistics.median(values):10.3f} {unit}   ({min(values):.3f} to {max(values):.3f})",
                flush=True,
            )

    def at_most(
        self, what: str, own: Sequence[float], other: Sequence[float], *, floor: float | None = None, aim: float | None = None
    ) -> None:
        """The ratio round by round is to be small; without a floor it is only told."""
        self.below(what, [mine / theirs for mine, theirs in zip(own, other, strict=True)], floor=floor, aim=aim)

    def at_least(self, what: str, own: Sequence[float], other: Sequence[float], *, floor: float, aim: float | None = None) -> None:
        """The ratio round by round is to be large."""
        ratios = [mine / theirs for mine, theirs in zip(own, other, strict=True)]
        median = statistics.median(ratios)
        self._judge(what, ratios, f">= {floor:g}", None if aim is None else f"{aim:g}", is_met=median >= floor)

    def below(self, what: str, values: Sequence[float], *, floor: float | None = None, aim: float | None = None) -> None:
        """The median is to be small."""
        is_met = floor is None or statistics.median(values) <= floor
        self._judge(what, values, None if floor is None else f"<= {floor:g}", None if aim is None else f"{aim:g}", is_met=is_met)

    def _judge(self, what: str, values: Sequence[float], floor: str | None, aim: str | None, *, is_met: bool) -> None:
        line = f"{what}: median {statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"
        if floor is not None:
            line += f"; floor {floor}" + (f", aim {aim}" if aim is not None else "") + f": {'met' if is_met else 'MISSED'}"
        print(line, flush=True)
        if not is_met:
            self._missed.append(what)

    def told(self) -> int:
        """The exit code: 1 where a floor was missed."""
        if self._missed:
            print("missed: " + "; ".join(self._missed))
        return int(bool(self._missed))
