"""Certificates for tests: an authority in memory, what it signs in files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key

from gateway.config.trust import DialTls, ListenerTls


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as files."""

    cert_file: Path
    key_file: Path

    def listener(self, client_ca: Path | None = None) -> ListenerTls:
        return ListenerTls(self.cert_file, self.key_file, client_ca)

    def dial(self, ca: Path, server_name: str | None = None) -> DialTls:
        return DialTls(ca, self.cert_file, self.key_file, server_name)


class Authority:
    """Signs whatever it is asked to, into files of a directory."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._authority = trustme.CA()
        self._directory = directory
        self.file = directory / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(
        self,
        name: str,
        *hosts: str,
        not_after: datetime | None = None,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
        common_name: str | None = None,
    ) -> Identity:
        """For 127.0.0.1 and localhost unless other hosts are given. Files of the same name are written over."""
        issued = self._authority.issue_cert(
            *(hosts or ("127.0.0.1", "localhost")), not_after=not_after, key_type=key_type, common_name=common_name
        )
        identity = Identity(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        identity.cert_file.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
        identity.key_file.write_bytes(issued.private_key_pem.bytes())
        return identity

    def dial(self, server_name: str | None = None) -> DialTls:
        """For whoever trusts this authority and shows nothing."""
        return DialTls(self.file, server_name=server_name)


def encrypt(key_file: Path) -> None:
    """Puts a passphrase on a key."""
    key = load_pem_private_key(key_file.read_bytes(), None)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
