from gateway.model.story import Story, lines, longer


def test_a_log_keeps_its_latest_lines() -> None:
    story: Story = ()
    assert lines(story) == ()
    for at in range(3):
        story = longer(story, 2, at, "got %s", f"op{at}")
    assert lines(story) == ((1, "got op1"), (2, "got op2"))
    assert lines(longer(story, 2, 5, "100 %")) == ((2, "got op2"), (5, "100 %"))


def test_foreign_words_stay_as_they_are() -> None:
    assert lines(longer((), 2, 1, "got %s", "%s %d")) == ((1, "got %s %d"),)
