"""TLS contexts from files: `tls` of what listens or of what is dialled comes in, the context for a new connection goes out.

The files are looked at again, once a second at most, and read again when one of them changed. New connections get the new
context, open ones go on with theirs. A change for the worse is logged once, and what was there before stays in use. So is a
certificate that ends within two weeks, once a day.
"""

from __future__ import annotations

import binascii
import logging
import math
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.trust import DialTls, ListenerTls
from gateway.errors import StartError

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_DAY_S = 24 * 60 * 60
_WARN_S = 14 * _DAY_S
#: What a file has to be to count as the same: device, inode, size, time of change; None: it is not there.
_Signature = tuple[tuple[int, int, int, int] | None, ...]
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
#: OpenSSL's reasons when a key is one, and another certificate's.
_MISMATCH = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
#: OpenSSL's reasons when the certificate of a pair is what it does not take.
_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})


class _EncryptedKeyError(Exception):
    """A key wants a passphrase, for which nobody can be asked."""


class _Context:
    """The files of one setting, and the context that was made of them last."""

    def __init__(
        self,
        setting: str,
        files: Mapping[str, Path | None],
        protocol: int,
        alpn: Sequence[str],
        clocks: tuple[Callable[[], float], Callable[[], float]],
        asks: ssl.VerifyMode = ssl.CERT_REQUIRED,
    ) -> None:
        self._setting = setting
        self._asks = asks
        #: By key of the setting, those that are given.
        self._files = {key: path for key, path in files.items() if path is not None}
        self._protocol = protocol
        self._alpn = list(alpn)
        self._monotonic, self._unix = clocks
        #: (key, unix seconds): when the certificates of a file end.
        self._ends: list[tuple[str, float]] = []
        #: What `context` was made of, by key, for who makes something else of it; another object whenever it was read again.
        self.pem: Mapping[str, bytes] = {}
        self._signature = self._sign()
        self.context = self._read()
        self._look_at = self._monotonic() + _LOOK_S
        self._warn_at = self._monotonic()

    def current(self) -> ssl.SSLContext:
        """The context for a connection that is made now; looks at the files if that was not done within the last second."""
        self.look()
        return self.context

    def look(self) -> None:
        """Reads the files again if they changed, at most once a second. Any thread may; `context` is the new one afterwards."""
        now = self._monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            self._reread()
        if now >= self._warn_at:
            self._warn_at = now + _DAY_S
            self._warn()

    def _reread(self) -> None:
        signature = self._sign()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self.context = self._read()
        except StartError as error:
            _log.error("%s; what was read before stays in use", error)
            return
        _log.info("%s: read again: %s", self._setting, ", ".join(str(path) for path in self._files.values()))
        self._warn_at = self._monotonic()

    def _sign(self) -> _Signature:
        def one(path: Path) -> tuple[int, int, int, int] | None:
            try:
                found = path.stat()
            except OSError:
                return None
            return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

        return tuple(one(path) for path in self._files.values())

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(self._protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        if self._alpn:
            context.set_alpn_protocols(self._alpn)
        ends = []
        for key in self._files:
            if key == "cert_file":
                # A chain is of no use any more once one of it has ended.
                ends.append((key, min(_not_after(each) for each in self._certificates(key))))
                self._load_pair(context)
            elif key != "key_file":
                # Of those that are trusted the last one matters.
                trusted = self._certificates(key)
                ends.append((key, max(_not_after(each) for each in trusted)))
                context.load_verify_locations(cadata=b"".join(trusted))
                context.verify_mode = self._asks
        if self._protocol == ssl.PROTOCOL_TLS_CLIENT and "ca_file" not in self._files:
            context.load_default_certs()
        self._ends = ends
        self.pem = {key: self._bytes(key) for key in self._files}
        return context

    def _certificates(self, key: str) -> list[bytes]:
        """DER of each certificate in a file: at least one, and OpenSSL takes them."""
        found: list[bytes] = []
        for pem in _CERTIFICATE.findall(self._bytes(key)):
            try:
                der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii", errors="replace"))
                ssl.SSLContext(self._protocol).load_verify_locations(cadata=der)
            except (binascii.Error, ValueError, ssl.SSLError):
                raise self._problem(key, f"certificate {len(found) + 1} in it is damaged") from None
            found.append(der)
        if not found:
            raise self._problem(key, "no certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it")
        return found

    def _load_pair(self, context: ssl.SSLContext) -> None:
        if b"PRIVATE KEY-----" not in self._bytes("key_file"):
            raise self._problem("key_file", "no private key in PEM form (-----BEGIN PRIVATE KEY-----) is in it")
        try:
            context.load_cert_chain(self._files["cert_file"], self._files["key_file"], password=_refuse)
        except _EncryptedKeyError:
            raise self._problem("key_file", "the key is encrypted, and nobody is asked for a passphrase: store it plain") from None
        except ssl.SSLError as error:
            if error.reason in _MISMATCH:
                what = f"the key does not belong to the certificate in {self._files['cert_file']}"
                raise self._problem("key_file", what) from None
            key, what = ("cert_file", "the certificate") if error.reason in _WEAK else ("key_file", "the private key")
            words = (error.reason or "damaged").lower().replace("_", " ")
            raise self._problem(key, f"{what} cannot be used: {words}") from None
        except OSError as error:
            raise self._problem("key_file", error.strerror or str(error)) from None

    def _bytes(self, key: str) -> bytes:
        try:
            return self._files[key].read_bytes()
        except OSError as error:
            raise self._problem(key, error.strerror or str(error)) from None

    def _problem(self, key: str, what: str) -> StartError:
        return StartError(f"{self._setting}.{key}: {self._files[key]}: {what}")

    def _warn(self) -> None:
        now = self._unix()
        for key, end in self._ends:
            if end - now < _WARN_S:
                verb = "ended" if end <= now else "ends"
                date = datetime.fromtimestamp(end, UTC).isoformat().replace("+00:00", "Z")
                _log.warning("%s.%s: %s: the certificate %s at %s: renew it", self._setting, key, self._files[key], verb, date)


class ListenerContext(_Context):
    """Of something that listens: shows a certificate, and asks for one where it has authorities to tell by."""

    def __init__(
        self,
        tls: ListenerTls,
        setting: str,
        *,
        alpn: Sequence[str] = (),
        is_optional: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        """Reads the files.

        Args:
            tls: Names the files.
            setting: Path of the setting, for what is said about it: `gateway.taps[execution].tls`.
            alpn: Protocols that are offered, the best first. A peer that offers none is accepted.
            is_optional: A peer that is asked for a certificate may have none; one that no authority signed is refused all the same.
            monotonic: Seconds, for intervals.
            unix: Seconds since the epoch, for ends of certificates.

        Raises:
            StartError: Names setting, file and what is wrong with it. A certificate that has ended is only warned of.
        """
        files = {"cert_file": tls.cert_file, "key_file": tls.key_file, "client_ca_file": tls.client_ca_file}
        asks = ssl.CERT_OPTIONAL if is_optional else ssl.CERT_REQUIRED
        super().__init__(setting, files, ssl.PROTOCOL_TLS_SERVER, alpn, (monotonic, unix), asks)


class DialContext(_Context):
    """Of something that is dialled: wants a certificate for the name that is dialled, and shows one where it has one."""

    def __init__(
        self,
        tls: DialTls,
        setting: str,
        *,
        alpn: Sequence[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        unix: Callable[[], float] = time.time,
    ) -> None:
        """As `ListenerContext`."""
        files = {"ca_file": tls.ca_file, "cert_file": tls.cert_file, "key_file": tls.key_file}
        super().__init__(setting, files, ssl.PROTOCOL_TLS_CLIENT, alpn, (monotonic, unix))
        self._server_name = tls.server_name

    def server_name(self, host: str) -> str:
        """What the other side's certificate has to be for when `host` is dialled: a DNS name or an IP address."""
        return self._server_name or host


def _refuse() -> str:
    """Instead of a prompt on the terminal."""
    raise _EncryptedKeyError


def _not_after(der: bytes) -> float:
    """When a certificate ends, in unix seconds.

    Read out of the DER (RFC 5280, 4.1), since the standard library decodes certificates of connections only: a context lists
    those of authorities, not its own. What is not readable that way never ends: OpenSSL has taken the certificate.
    """
    try:
        return _validity(der)
    except (ValueError, IndexError, StopIteration):
        return math.inf


def _validity(der: bytes) -> float:
    certificate = next(_elements(der))[1]
    fields = _elements(next(_elements(certificate))[1])
    # [0] version, where there is one; serialNumber, signature, issuer, validity.
    first, _ = next(fields)
    for _ in range(3 if first == 0xA0 else 2):
        next(fields)
    (_, _), (tag, text) = _elements(next(fields)[1])
    digits = text.decode("ascii")
    if tag == 0x17:
        # UTCTime: two digits of the year, of 1950 to 2049.
        digits = ("19" if digits >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of one element after the other."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(der[at : at + count], "big")
            at += count
        yield tag, der[at : at + length]
        at += length
