"""How traffic tells a plugin's versions apart: by the version header of a bundled plugin, or the scenario's rule."""

from __future__ import annotations

from collections.abc import Iterable

from sim.errors import InvalidInput, StepFailed
from sim.manifests import WASM_PLUGIN, Manifest
from sim.oci import parse_reference
from sim.scenario.changes import image_url
from sim.scenario.expect import evaluate_version
from sim.scenario.images import ResolvedImage
from sim.scenario.load import LoadedScenario
from sim.scenario.rollouts import Attribution
from sim.traffic.samples import Attribute, Signature


class NoVersion(StepFailed):
    """A `version_by` rule gave something of a response that is no version."""


def attribution(loaded: LoadedScenario, registry: str | None = None) -> Attribution:
    """Read off a scenario: an image's version is the stamp of a bundled plugin, else its tag.

    A URL that names no image of the scenario, because it is meant to be missing, stands for no version; unless it is
    one of `registry` (`host:port`), which is used in place of the run's own and has images that nobody lists.
    """
    images = [*loaded.images, *loaded.pushes.values()]
    versions: dict[str, str | None] = {}
    for image in images:
        for url in _spellings(image.written):
            versions[url] = image.version or image.reference.tag
    for found in loaded.elsewhere:
        # As each may be written: with a user or an escape, or as it reads without.
        for url in (*_spellings(found.written), *_spellings(str(found.reference))):
            versions[url] = found.version
    urls = _urls_by_plugin(loaded)
    for url in (url for found in urls.values() for url in found):
        for spelling in _spellings(url):
            versions.setdefault(spelling, _tag_at(registry, url))
    traffic = loaded.scenario.spec.traffic
    by_load = {name: version_rule(load.version_by) for name, load in traffic.items() if load.version_by is not None}
    first = next((image.version_header for image in images if image.version_header is not None), None)
    return Attribution(versions, _headers(urls, images), by_load, first)


def learn(known: Attribution, images: Iterable[ResolvedImage], manifests: Iterable[Manifest]) -> None:
    """Take in what came by hand: images, and plugins that may name one of them."""
    images = list(images)
    for image in images:
        for spelling in _spellings(image.written):
            known.versions[spelling] = image.version or image.reference.tag
    urls = {m.key: [url] for m in manifests if m.kind == WASM_PLUGIN and (url := image_url(m)) is not None}
    known.headers.update(_headers(urls, images))


def version_rule(rule: str) -> Attribute:
    """A scenario's CEL rule as traffic asks for it, which raises NoVersion where it gives no version."""

    def attribute(signature: Signature) -> str | None:
        body = signature.body.decode(errors="replace")
        try:
            return evaluate_version(rule, signature.status, signature.headers, body)
        except InvalidInput as error:
            raise NoVersion(error.message, hint=error.hint) from error

    return attribute


def _urls_by_plugin(loaded: LoadedScenario) -> dict[str, list[str]]:
    urls: dict[str, list[str]] = {}
    for manifests in loaded.manifests.values():
        for manifest in manifests:
            if manifest.kind == WASM_PLUGIN and (url := image_url(manifest)) is not None:
                urls.setdefault(manifest.key, []).append(url)
    return urls


def _headers(urls: dict[str, list[str]], images: Iterable[ResolvedImage]) -> dict[str, str]:
    by_name = {image.reference.name: image.version_header for image in images}
    found: dict[str, str] = {}
    for plugin, candidates in urls.items():
        for url in candidates:
            header = by_name.get(_repository(url))
            if header is not None:
                found[plugin] = header
    return found


def _spellings(text: str) -> tuple[str, str]:
    """A reference as a WasmPlugin may write it: with the scheme and without."""
    bare = text.removeprefix("oci://")
    return f"oci://{bare}", bare


def _tag_at(registry: str | None, url: str) -> str | None:
    """The tag of an image of this registry; None for any other's."""
    try:
        found = parse_reference(url)
    except InvalidInput:
        return None
    return found.tag or found.digest if found.registry == registry else None


def _repository(url: str) -> str:
    try:
        return parse_reference(url).name
    except InvalidInput:
        return url
