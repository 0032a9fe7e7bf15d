"""Bounded logs: what happened to an entity, oldest first, for people, anomalies and failed invariants.

A line is told as a moment, a sentence and the word that stands in it for `%s`, and made into text when somebody asks: of many
thousand entities hardly any is ever looked at. The log is one flat tuple, which takes a fifth of the memory of its texts.
"""

from __future__ import annotations

from typing import Any

#: `(at, text)`: one line of an entity's bounded log; `at` in Unix nanoseconds.
StoryLine = tuple[int, str]

#: A line after the other, each as `at`, sentence, word; the word is None where the sentence has no `%s`.
Story = tuple[Any, ...]

#: Of a line.
ITEMS = 3


def longer(story: Story, limit: int, at: int, sentence: str, word: str | None = None) -> Story:
    """With one line more; over `limit` lines the oldest go."""
    told = (*story, at, sentence, word)
    return told if len(told) <= limit * ITEMS else told[-limit * ITEMS :]


def lines(story: Story) -> tuple[StoryLine, ...]:
    """As people read it."""
    thirds = (story[start::ITEMS] for start in range(ITEMS))
    return tuple([(at, sentence if word is None else sentence % word) for at, sentence, word in zip(*thirds, strict=True)])
