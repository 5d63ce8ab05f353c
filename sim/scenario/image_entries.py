"""The entries of `images`, and what a step `push` pushes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from sim.oci import ImageFormat
from sim.scenario.quantities import Text
from sim.scenario.strict import Strict
from sim.wasm.ballast import MAX_FUNCTIONS

DEFAULT_REPOSITORY = "registry.local/plugins"


Member = Annotated[
    Text | None,
    Field(
        description="The module's name in the layer's archive; plugin.wasm, in the guide's images main.wasm",
        examples=["main.wasm"],
    ),
]
Layers = Annotated[
    list[Text],
    Field(
        description="The media types of the layers, instead of the format's: archives (…gzip) and modules (…+wasm) hold"
        " the module, all others a few bytes",
        examples=[["application/vnd.module.wasm.content.layer.v1+wasm"]],
    ),
]


class BundledImage(Strict):
    """An image of a plugin that comes with ecdsim, with its tag stamped into the module as its version."""

    plugin: Text = Field(description="A bundled plugin, such as request-block", examples=["request-block"])
    tag: Text = Field(description="The image's tag and the version that the plugin tells in its response header")
    format: ImageFormat = Field(default="docker", description="How the module is packed")
    functions: int | None = Field(
        default=None,
        ge=1,
        le=MAX_FUNCTIONS,
        description="So many more functions that nobody calls, of some 330 bytes each: Envoy compiles them all, as it"
        " does those of a large plugin",
        examples=[20000],
    )
    as_: Text | None = Field(
        default=None,
        alias="as",
        description=f"The image's reference; {DEFAULT_REPOSITORY}/<plugin>:<tag> unless told otherwise",
    )
    member: Member = None
    layers: Layers = Field(default_factory=list)

    @property
    def reference_text(self) -> str:
        return self.as_ or f"{DEFAULT_REPOSITORY}/{self.plugin}:{self.tag}"


class FileImage(Strict):
    """An image of one's own module."""

    file: Text = Field(description="A .wasm file; a relative path starts at the scenario's folder")
    as_: Text = Field(alias="as", description="The image's reference", examples=["hub.example.com/team/block:2.0.0"])
    format: ImageFormat = Field(default="docker", description="How the module is packed")
    member: Member = None
    layers: Layers = Field(default_factory=list)

    @property
    def reference_text(self) -> str:
        return self.as_


class ElsewhereImage(Strict):
    """An image that a registry of somebody else's has already. It is not pushed; the agent pulls it from there."""

    ref: Text = Field(
        description="The image's reference; the agent asks the registry that it names, with --with registry=… that one",
        examples=["oci://127.0.0.1:5000/team/block:2.0.0"],
    )

    @property
    def reference_text(self) -> str:
        return self.ref


def _image_kind(value: Any) -> str:
    if isinstance(value, FileImage):
        return "(file)"
    return "(file)" if isinstance(value, Mapping) and "file" in value and "plugin" not in value else "(bundled)"


def _entry_kind(value: Any) -> str:
    if isinstance(value, ElsewhereImage):
        return "(ref)"
    if isinstance(value, Mapping) and "ref" in value and "plugin" not in value and "file" not in value:
        return "(ref)"
    return _image_kind(value)


#: What can be pushed.
AnyImage = Annotated[
    Annotated[BundledImage, Tag("(bundled)")] | Annotated[FileImage, Tag("(file)")], Discriminator(_image_kind)
]
#: What `images` lists: what is pushed before the run, and what is somewhere already.
ImageEntry = Annotated[
    Annotated[BundledImage, Tag("(bundled)")]
    | Annotated[FileImage, Tag("(file)")]
    | Annotated[ElsewhereImage, Tag("(ref)")],
    Discriminator(_entry_kind),
]
