"""`gateway.admin` comes in, where NativeLink's admin service is called goes out."""

from __future__ import annotations

import re

from gateway.config.section import Section
from gateway.config.tls import read_dial_tls
from gateway.config.types import Admin

#: Segments of RFC 3986, which need no encoding in a request line; no slash at the end.
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")


def read_admin(section: Section) -> Admin:
    """Without `endpoint` it is the tap that carries admin, found once it is called."""
    endpoint, path, tls = section.address("endpoint"), section.string("path"), read_dial_tls(section)
    section.end()
    if path is not None and not _PATH.fullmatch(path):
        section.wrong(
            "path", "as services.admin.path of NativeLink's configuration has it, /admin: a slash before it and none behind"
        )
        path = None
    return Admin(endpoint, path or Admin().path, tls)
