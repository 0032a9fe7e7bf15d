"""`gateway.admin` comes in, where NativeLink's admin service is called goes out."""

from __future__ import annotations

import re

from gateway.config.section import Section
from gateway.config.tls import read_dial_tls
from gateway.config.types import Admin

#: Segments of RFC 3986, which need no encoding in a request line; no slash at the end.
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")


def read_admin(section: Section, theirs: str | None) -> Admin:
    """Without `endpoint` it is the tap that carries admin, found once it is called.

    Args:
        section: what the gateway's own file says.
        theirs: the path in NativeLink's; None: there is none.
    """
    endpoint, path, tls = section.address("endpoint"), read_path(section), read_dial_tls(section)
    section.end()
    return Admin(endpoint, path or theirs or Admin().path, tls)


def read_path(section: Section) -> str | None:
    """`path` of a section, which is one to call; None: there is none, or it is not, which is noted."""
    path = section.string("path")
    if path is None or _PATH.fullmatch(path):
        return path
    section.wrong("path", "as services.admin.path of NativeLink's configuration has it, /admin: a slash before it and none behind")
    return None
