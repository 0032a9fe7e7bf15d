"""Limits: what a connection may use, as numbers; docs/limits.md has them for people.

Those of which an operator may want others are `gateway.http` of the configuration, of which these are the defaults.
"""

from __future__ import annotations

#: Bytes of the request line, and of one header; how many headers. More is 400.
LINE_BYTES = 8190
HEADERS = 128
#: Bytes of request line and headers together; more is 431.
HEAD_BYTES = 32 * 1024
#: Bytes of a head that is known when it comes again: 8 MiB for all connections together, and some times that for what it says.
KNOWN_BYTES = 1024
#: Bytes of a request's body; more is 413, or the end of the connection where the request did not say how many.
BODY_BYTES = 1024 * 1024
#: From its first byte, and the first one from the connect on, a head has to be complete within this; so has a TLS handshake.
HEAD_S = 10.0
#: How long the rest of a request's body is read and thrown away, so that the peer gets to see the answer.
LINGER_S = 2.0
#: An idle connection is closed after this; longer than the 60 s for which proxies keep theirs.
KEEP_ALIVE_S = 75.0
#: Within this an answer has to be taken, …
TAKE_S = 60.0
#: … and what is left of it when a connection is closed, within this.
CLOSE_S = 10.0
#: Bytes of all answers together that readers have not taken; over it, the reader goes that has been taking for longest.
UNTAKEN_BYTES = 64 * 1024 * 1024
#: Requests that wait behind the one that is answered, on one connection, before nothing more is read of it.
PIPELINED = 4
#: Bytes that the kernel takes of a connection before they are read.
RECEIVE_BYTES = 64 * 1024
#: File descriptors that are not for connections.
RESERVED_DESCRIPTORS = 256
#: Connections over the limits that are being told so; one more is closed without a word.
TURNED_AWAY = 64
#: How long that may take.
TURNED_AWAY_S = 2.0
#: After this, whoever was turned away may come again.
RETRY_AFTER_S = 10
#: When nothing can be accepted for want of descriptors or memory, it is tried again after this.
ACCEPT_AGAIN_S = 0.5
