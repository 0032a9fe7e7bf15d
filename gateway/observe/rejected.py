"""Files of state_dir that cannot be used: got out of the way, so that the next start does not meet them."""

from __future__ import annotations

from pathlib import Path

#: What their names get.
SUFFIX = ".rejected"


def set_aside(file: Path) -> str:
    """Get it out of the way; where it is then, in words. Of each name one is kept, the latest."""
    rejected = file.with_name(file.name + SUFFIX)
    try:
        file.replace(rejected)
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it stays where it is ({error.strerror})"
    return f"it is set aside as {rejected.name}"
