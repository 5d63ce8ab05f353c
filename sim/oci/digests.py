"""Content digests, `algorithm:hex`, as the OCI image specification writes them (descriptor.md, Digests)."""

from __future__ import annotations

import hashlib
from io import BufferedReader


def sha256_digest(content: bytes) -> str:
    """`sha256:…` of the content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_like(digest: str, content: bytes) -> str:
    """The digest of the content by the algorithm of `digest`."""
    algorithm = digest.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def file_digest_like(digest: str, file: BufferedReader) -> str:
    """The digest of what is left to read of an open file, by the algorithm of `digest`."""
    algorithm = digest.partition(":")[0]
    return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
