from gateway.serve.clock import steady_clock


class Time:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_it_begins_at_the_wall_clock_and_does_not_follow_it_when_it_is_set() -> None:
    wall, monotonic = Time(1_000_000.0), Time(5.0)
    clock = steady_clock(wall, monotonic)
    assert clock() == 1_000_000.0
    wall.now -= 3600
    monotonic.now += 2.5
    assert clock() == 1_000_002.5
