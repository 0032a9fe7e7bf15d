"""Role: what somebody may do."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """The value is the word of configuration and credentials."""

    #: Everything that only shows.
    READER = "reader"
    #: Also what changes NativeLink.
    OPERATOR = "operator"

    def includes(self, other: Role) -> bool:
        """Whether this one may do what the other may."""
        return self is other or self is Role.OPERATOR
