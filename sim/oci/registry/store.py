"""What a registry keeps, on disk: blobs by content, and what each repository links to.

    blobs/<algorithm>/<hex>                               content of blobs and manifests, shared by all repositories
    uploads/<id>                                          content of unfinished uploads
    repositories/<name>/_blobs/<algorithm>/<hex>          the repository has this blob
    repositories/<name>/_manifests/<algorithm>/<hex>      the repository has this manifest; holds its media type
    repositories/<name>/_tags/<tag>                       holds the digest that the tag points to

Every file appears whole or not at all (written beside its place, then renamed). The links are also kept in memory,
read once at the start, so one process at a time may use a directory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sim.oci.references import is_digest, is_repository, is_tag


@dataclass(slots=True)
class Repository:
    """What one repository links to. `manifests` maps a digest to its media type, `tags` a tag to its digest."""

    blobs: set[str] = field(default_factory=set)
    manifests: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def has(self, digest: str) -> bool:
        """Whether there is a blob or a manifest with this digest."""
        return digest in self.blobs or digest in self.manifests

    def digest_of(self, reference: str) -> str | None:
        """The digest of the manifest with this tag or digest, None where there is no such manifest."""
        digest = self.tags.get(reference, reference)
        return digest if digest in self.manifests else None


class Store:
    """Blobs, manifests and tags under one directory. Nothing here checks who asks or what a manifest says."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._uploads = directory / "uploads"
        self._links = directory / "repositories"
        for made in (self._blobs / "sha256", self._blobs / "sha512", self._uploads, self._links):
            made.mkdir(parents=True, exist_ok=True)
        for leftover in self._uploads.iterdir():
            leftover.unlink()
        self.repositories: dict[str, Repository] = dict(self._read_links())

    def repository(self, name: str) -> Repository:
        """The repository of that name, empty at first."""
        return self.repositories.setdefault(name, Repository())

    def known(self, name: str) -> Repository | None:
        """The repository of that name if anything was ever pushed to it."""
        return self.repositories.get(name)

    def content_path(self, digest: str) -> Path:
        """Where the content of a digest lies, or would lie."""
        algorithm, _, encoded = digest.partition(":")
        return self._blobs / algorithm / encoded

    def has_content(self, digest: str) -> bool:
        return self.content_path(digest).exists()

    def new_upload(self) -> tuple[str, Path]:
        """The id and the empty file of a new upload."""
        upload_id = str(uuid.uuid4())
        path = self._uploads / upload_id
        path.touch()
        return upload_id, path

    def adopt(self, upload: Path, digest: str) -> None:
        """Make a finished upload, whose digest was checked, the content of that digest."""
        upload.replace(self.content_path(digest))

    def link_blob(self, name: str, digest: str) -> None:
        """Let the repository have a blob whose content is there."""
        self.repository(name).blobs.add(digest)
        self._write(self._link(name, "_blobs", digest), b"")

    def unlink_blob(self, name: str, digest: str) -> None:
        """Take a blob from the repository; its content goes when no repository has it any more."""
        self.repository(name).blobs.discard(digest)
        self._link(name, "_blobs", digest).unlink(missing_ok=True)
        self._drop_unused(digest)

    def put_manifest(self, name: str, digest: str, media_type: str, content: bytes) -> None:
        """Keep a manifest whose digest was checked."""
        if not self.has_content(digest):
            self._write(self.content_path(digest), content)
        self._write(self._link(name, "_manifests", digest), media_type.encode())
        self.repository(name).manifests[digest] = media_type

    def delete_manifest(self, name: str, digest: str) -> None:
        """Forget a manifest, and every tag that points to it."""
        repository = self.repository(name)
        for tag in [tag for tag, target in repository.tags.items() if target == digest]:
            self.delete_tag(name, tag)
        del repository.manifests[digest]
        self._link(name, "_manifests", digest).unlink(missing_ok=True)
        self._drop_unused(digest)

    def put_tag(self, name: str, tag: str, digest: str) -> None:
        """Point the tag at a manifest of the repository."""
        self._write(self._links / name / "_tags" / tag, digest.encode())
        self.repository(name).tags[tag] = digest

    def delete_tag(self, name: str, tag: str) -> None:
        """Forget a tag; what it pointed to stays."""
        del self.repository(name).tags[tag]
        (self._links / name / "_tags" / tag).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything, on disk too."""
        self.repositories.clear()
        shutil.rmtree(self._links)
        self._links.mkdir()
        for algorithm in self._blobs.iterdir():
            for content in algorithm.iterdir():
                content.unlink()

    def _drop_unused(self, digest: str) -> None:
        if not any(known.has(digest) for known in self.repositories.values()):
            self.content_path(digest).unlink(missing_ok=True)

    def _link(self, name: str, kind: str, digest: str) -> Path:
        algorithm, _, encoded = digest.partition(":")
        return self._links / name / kind / algorithm / encoded

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._uploads / secrets.token_hex(16)
        beside.write_bytes(content)
        beside.replace(path)

    def _read_links(self) -> Iterator[tuple[str, Repository]]:
        for folder, names, _ in os.walk(self._links):
            kinds = [name for name in names if name in ("_blobs", "_manifests", "_tags")]
            # A repository's links are no repositories; names that start with _ can't be part of one.
            names[:] = [name for name in names if not name.startswith("_")]
            here = Path(folder)
            repository_name = here.relative_to(self._links).as_posix()
            if not kinds or not is_repository(repository_name):
                continue
            repository = Repository()
            for digest, _ in _digests(here / "_blobs"):
                if self.has_content(digest):
                    repository.blobs.add(digest)
            for digest, path in _digests(here / "_manifests"):
                if self.has_content(digest):
                    repository.manifests[digest] = path.read_text()
            if (here / "_tags").is_dir():
                for path in (here / "_tags").iterdir():
                    digest = path.read_text()
                    if is_tag(path.name) and digest in repository.manifests:
                        repository.tags[path.name] = digest
            yield repository_name, repository


def _digests(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        return
    for algorithm in folder.iterdir():
        for path in algorithm.iterdir():
            digest = f"{algorithm.name}:{path.name}"
            if is_digest(digest):
                yield digest, path
