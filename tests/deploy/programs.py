"""Programs of other packages that tests need: a name comes in, a path goes out. In CI a missing one fails, elsewhere it skips."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, package: str) -> str:
    """A path.

    Args:
        name: of the program.
        package: Debian's.
    """
    found = shutil.which(name)
    if found is None:
        text = f"{name} is not installed (Debian: apt-get install {package})"
        if os.environ.get("NATIVELINK_GATEWAY_CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found
