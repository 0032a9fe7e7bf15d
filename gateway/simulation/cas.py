"""A content-addressable store in memory, SHA-256 only. In: blobs. Out: blobs by digest; the oldest give way at the bound."""

from __future__ import annotations

import hashlib

from gateway.pb import remote_execution_pb2 as remote_execution

#: NativeLink advertises it (nativelink-facts 3).
MAX_BATCH_TOTAL_SIZE_BYTES = 65_536


def digest_of(data: bytes) -> remote_execution.Digest:
    """The SHA-256 digest of a blob."""
    return remote_execution.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


class Cas:
    """Survives a restart of the scheduler, as NativeLink's store does when it is a process of its own."""

    def __init__(self, max_blobs: int = 500_000) -> None:
        self._max_blobs = max_blobs
        #: Hash -> blob, oldest first.
        self._blobs: dict[str, bytes] = {}
        self.put(b"")

    def __len__(self) -> int:
        return len(self._blobs)

    def put(self, data: bytes) -> remote_execution.Digest:
        """Keep a blob, and say under which digest."""
        digest = digest_of(data)
        self._blobs[digest.hash] = data
        if len(self._blobs) > self._max_blobs:
            del self._blobs[next(iter(self._blobs))]
        return digest

    def get(self, digest: remote_execution.Digest) -> bytes | None:
        """The blob with this digest, None if it is not there or has another size."""
        data = self._blobs.get(digest.hash)
        return data if data is not None and len(data) == digest.size_bytes else None

    def forget(self, digest: remote_execution.Digest) -> None:
        """Lose a blob, as an eviction does."""
        self._blobs.pop(digest.hash, None)
