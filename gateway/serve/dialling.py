"""Where upstream is: this machine's `observe` at its unix socket, or an endpoint, over mutual TLS unless it is on loopback."""

from __future__ import annotations

import grpc

from gateway.config.trust import DialTls
from gateway.config.types import Address, Config
from gateway.tls import DialContext

#: A chunk or batch may have this size; a well-behaved one has far less.
MESSAGE_BYTES = 64 * 1024 * 1024
#: What a channel waits before it connects again: whoever follows decides when, and the channel's own waits, up to two minutes,
#: would come on top.
_RECONNECT_MS = 100

_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
    ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MS),
    # A channel of its own, not one that is shared by address with others of this process.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
_SETTING = "gateway.introspection.endpoint_tls"
#: What grpc says of a connection that was never there.
_NOT_CONNECTED = "failed to connect"
_REFUSED = f"the client_ca_file there has to be of the authority of {_SETTING}.cert_file, which must not have ended"
#: What a person can do, by what grpc and BoringSSL say; the first that fits.
_REASONS = {
    "Hostname Verification": f"its certificate is not for the host that is dialled: {_SETTING}.server_name says for whom else",
    "certificate has expired": "its certificate has ended, or its authority's: it needs a new one there, which is read as it comes",
    "CERTIFICATE_VERIFY_FAILED": f"its certificate is of no authority in {_SETTING}.ca_file",
    "WRONG_VERSION_NUMBER": f"it speaks plaintext: no {_SETTING}, or tls there",
    # An end without a word is all that a server shows whom it refuses.
    "Socket closed": f"it ended the connection: {_REFUSED}",
    "ALERT": f"it refused: {_REFUSED}",
}


class Dial:
    """Makes channels to upstream."""

    def __init__(self, config: Config) -> None:
        """Reads certificates.

        Raises:
            StartError: one cannot be used.
        """
        endpoint, tls = config.introspection.endpoint, config.introspection.endpoint_tls
        if endpoint is None:
            self._target = f"unix:{config.introspection_socket}"
            #: For people: who is followed, and which setting says so.
            self.name = f"observe at {config.introspection_socket}"
        else:
            self._target = str(endpoint)
            self.name = f"gateway.introspection.endpoint {endpoint}"
        self._tls = _Tls(endpoint, tls) if endpoint is not None and tls is not None else None

    def channel(self) -> grpc.aio.Channel:
        """A new one, with the certificates of this moment."""
        if self._tls is None:
            return grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        return grpc.aio.secure_channel(self._target, self._tls.credentials(), options=(*_OPTIONS, *self._tls.options))

    @property
    def is_outdated(self) -> bool:
        """Certificates have changed since the last channel was made; looks at the files, once a second at most."""
        return self._tls is not None and self._tls.has_changed()

    def explain(self, error: grpc.aio.AioRpcError) -> str:
        """Why a call failed."""
        said = f"{error.code().name}: {error.details()}"
        if self._tls is None or _NOT_CONNECTED not in said:
            return said
        return next((f"{reason} ({error.code().name})" for words, reason in _REASONS.items() if words in said), said)


class _Tls:
    def __init__(self, endpoint: Address, tls: DialTls) -> None:
        self._context = DialContext(tls, _SETTING)
        self._given = self._context.pem
        #: Of channels.
        self.options = (("grpc.ssl_target_name_override", self._context.server_name(endpoint.host)),)

    def credentials(self) -> grpc.ChannelCredentials:
        pem = self._given = self._context.pem
        return grpc.ssl_channel_credentials(pem["ca_file"], pem["key_file"], pem["cert_file"])

    def has_changed(self) -> bool:
        self._context.look()
        return self._context.pem is not self._given
