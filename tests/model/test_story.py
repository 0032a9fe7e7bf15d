from gateway.model.story import Stories


def test_a_log_keeps_its_latest_lines_and_is_forgotten_with_its_entity() -> None:
    stories = Stories(2)
    for at in range(3):
        stories.tell(7, at, f"line {at}")
    assert stories.of(7) == ((1, "line 1"), (2, "line 2"))
    assert list(stories.arrivals()) == [7]
    stories.forget(7)
    stories.forget(7)
    assert stories.of(7) == ()
