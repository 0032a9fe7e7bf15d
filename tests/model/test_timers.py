from gateway.model.timers import NEVER, Due, Timers


def test_timers_are_taken_in_order_of_time_and_not_before_it() -> None:
    timers = Timers()
    timers.set(30, Due.SETTLED, 3)
    timers.set(10, Due.ABANDONED, 1)
    timers.set(20, Due.HEALED)
    assert timers.next_at == 10
    assert list(timers.take(20)) == [(Due.ABANDONED, 1), (Due.HEALED, 0)]
    assert (len(timers), timers.next_at) == (1, 30)
    assert list(timers.take(30)) == [(Due.SETTLED, 3)]
    assert timers.next_at == NEVER


def test_one_that_is_set_while_others_are_taken_is_taken_with_them() -> None:
    timers = Timers()
    timers.set(10, Due.ABANDONED, 1)
    taken = []
    for due, subject in timers.take(20):
        taken.append((due, subject))
        if due is Due.ABANDONED:
            timers.set(15, Due.SETTLED, 2)
    assert taken == [(Due.ABANDONED, 1), (Due.SETTLED, 2)]
