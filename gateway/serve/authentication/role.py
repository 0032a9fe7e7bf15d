"""Role: what somebody may do, as the configuration has it."""

from __future__ import annotations

from gateway.config.trust import Role

__all__ = ["Role"]
