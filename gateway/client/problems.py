"""What keeps a question from its answer: one sentence for the person, an exit code for the script.

Exit codes of these commands: 0 answered; 1 answered, and it is not as asked for; 2 a mistake in the question; 3 the gateway knows
nothing that can be used; 4 no gateway answers, or not to us.
"""

from __future__ import annotations

from gateway.client.printable import printable
from gateway.errors import GatewayError

#: A text of the gateway that is repeated in a sentence is cut here.
_MOST_CHARACTERS = 2_000


class QuestionError(GatewayError):
    """All of them; the text may have come from anywhere, and is safe to show."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text[:_MOST_CHARACTERS]))


class NotAsAskedError(QuestionError):
    """There is an answer, and it is no: no such operation, not completed in time, degraded."""

    exit_code = 1


class MistakeError(QuestionError):
    """The question is not understood, here or by the gateway."""

    exit_code = 2


class NotReadyError(QuestionError):
    """The gateway is there, and has nothing yet, or not all that was asked for."""

    exit_code = 3


class NoAnswerError(QuestionError):
    """Nobody is there, it is no gateway, or it answers others only."""

    exit_code = 4


class RefusedError(NoAnswerError):
    """It is there and answers, only not to us."""
