"""`gateway.credentials` comes in, what is accepted from who asks over HTTP goes out.

Files are named here and read by who uses them.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config.section import Section
from gateway.config.types import Credentials


def read_credentials(section: Section) -> Credentials:
    """What is not said is as it is without credentials."""
    tokens_file = section.string("tokens_file")
    local_read = section.flag("local_read", default=False)
    section.end()
    # Absolute, since the roles run in another directory.
    return Credentials(Path(os.path.abspath(tokens_file)) if tokens_file else None, local_read)  # noqa: PTH100 # links are followed when it is read
