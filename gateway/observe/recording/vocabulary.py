"""Words that a recording may keep wherever it goes: those of the system's reasons and of the tap's own."""

from __future__ import annotations

import errno
import os
from functools import cache

#: How the tap says why upstream was not reached or a connection is not read, without names and numbers
#: (gateway.tap: dial, handshake, connection, http2, headers, bounds, intake, calls).
_SENTENCES = """
no addresses was not resolved within s did not answer within s
more than bytes wait to be decoded more than bytes wait for their rest more than calls are open
the last frame is cut off no HTTP/2 preface TLS on a listener without certificates HTTP2-Settings
DATA on stream a frame of type with bytes on stream a frame of bytes where are allowed the first frame is not SETTINGS
a header block is interrupted more padding than DATA HEADERS GOAWAY CONTINUATION of nothing a header block of more than bytes
Name or service not known Temporary failure in name resolution No address associated with hostname
Name has no usable address Non-recoverable failure in name resolution
certificate verify failed self-signed certificate in chain unable to get local issuer has expired hostname mismatch not valid for
handshake TLS SSL wrong version number alert unknown ca bad certificate required
the connection was ended during reset closed by peer
"""


@cache
def vocabulary() -> frozenset[str]:
    """All of them, as they are written."""
    words = set(_SENTENCES.split())
    for number in errno.errorcode:
        words.update(word.strip(":,;") for word in os.strerror(number).split())
    return frozenset(words)
