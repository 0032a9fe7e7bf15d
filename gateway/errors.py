"""Errors that a person caused and can mend; everything else is a defect and keeps its traceback.

GatewayError            a sentence for the person, an exit code for the script
├── ConfigurationError  exit 2: every problem of the configuration at once
└── StartError          exit 1: the machine does not give what the configuration asks for (a port, a directory)
"""

from __future__ import annotations

from collections.abc import Sequence


class GatewayError(Exception):
    """Shown to a person without traceback; `exit_code` is what the command ends with."""

    exit_code = 1


class StartError(GatewayError):
    """A role cannot start: names what is in the way and the setting that decides it."""


class ConfigurationError(GatewayError):
    """Everything that is wrong with a configuration; each problem is a line `key.path: value: what would be right`."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
