"""What can be told of a scenario's images before any is rolled out: whether agent and Envoy will take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import basename

from sim.envoy import find_envoy, probe_envoy
from sim.errors import EnvironmentProblem
from sim.oci import PLUGIN_FILE
from sim.profiles import Profile
from sim.scenario.images import ResolvedImage
from sim.scenario.load import LoadedScenario
from sim.scenario.module_doubts import module_doubts

#: What the guide has in its archive.
_GUIDE_FILE = "main.wasm"


def image_doubts(loaded: LoadedScenario, envoy_version: str | None, profile: Profile) -> Iterator[str]:
    """A sentence for each reason why the agent, or that release of Envoy, would refuse one of the images.

    Without a release nothing is said of Envoy.
    """
    images = (*loaded.images, *loaded.pushes.values())
    yield from packing_doubts(images)
    if envoy_version is not None:
        manifests = [manifest for each in loaded.manifests.values() for manifest in each]
        yield from module_doubts(images, envoy_version, shim=profile.abi_shim == "auto", manifests=manifests)


def packing_doubts(images: Iterable[ResolvedImage]) -> Iterator[str]:
    """A sentence for each archive that does not hold what the agent looks for.

    A bundled plugin whose file was given another name on purpose is not told of.
    """
    for image in images:
        member = image.entry.member
        if image.entry.layers or image.format == "artifact" or (member is not None and image.plugin is not None):
            continue
        packed = member or (_GUIDE_FILE if image.format == "guide" else PLUGIN_FILE)
        if basename(packed) != PLUGIN_FILE:
            yield (
                f"{image.written}: the agent will refuse it: its archive holds {packed}, and the agent takes only"
                f" {PLUGIN_FILE}; write member: {PLUGIN_FILE}, or another format"
            )


async def doubts_beforehand(loaded: LoadedScenario) -> list[str]:
    """The doubts where nothing is run: about the Envoy that a run would take, if there is one."""
    own = any(image.file is not None for image in (*loaded.images, *loaded.pushes.values()))
    version = None
    if own:
        try:
            version = (await probe_envoy(find_envoy(loaded.envoy))).version
        except EnvironmentProblem:
            # A scenario is as valid where it can't be run.
            version = None
    return list(image_doubts(loaded, version, loaded.profile))
