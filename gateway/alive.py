"""Whether the gateway on this machine answers, for a container's health check: a port comes in, an exit code goes out.

    python -m gateway.alive 50062

/livez is open to all. With `gateway.http_tls` it is asked over TLS, and any certificate will do: this is the same container.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection

_ANSWER_S = 2.0


def main(arguments: Sequence[str]) -> int:
    """0: it does."""
    port = int(arguments[0])
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    for connection in (
        HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S),
        HTTPSConnection("127.0.0.1", port, timeout=_ANSWER_S, context=unverified),
    ):
        try:
            connection.request("GET", "/livez")
            if connection.getresponse().status == 200:
                return 0
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
