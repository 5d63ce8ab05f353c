"""Profiles: which real system is reproduced, as data. The bundled ones lie in `profile_data/`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sim.errors import InvalidInput, Location

Phase = Literal["AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE"]
Replacement = Literal["allow_all", "deny_all", "nack"]
AbiShim = Literal["auto", "off"]

DEFAULT_PROFILE = "higress"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlainFilter(_Strict):
    """An ordinary HTTP filter of the gateway's chain."""

    name: str = Field(description="The filter's name, such as envoy.filters.http.cors")
    config: dict[str, Any] = Field(description='Its typed_config as JSON, "@type" included')


class PluginSlot(_Strict):
    """The place where the plugins of these phases stand, in this order of phases."""

    plugins: list[Phase]


class ConfigDiscovery(_Strict):
    """The `config_discovery` block of a plugin's filter."""

    type_urls: list[str] = Field(description="Without the prefix type.googleapis.com/")
    default_config: Literal["never", "fail_open", "always"] = Field(
        description="On which plugins an empty Composite stands as default_config; its type joins type_urls"
    )
    apply_default_config_without_warming: bool = False


class FetchFailure(_Strict):
    """What the agent does when a module can't be had, by the plugin's failStrategy."""

    fail_open: Replacement
    fail_close: Replacement


class Profile(_Strict):
    """One real system. Every field is what that system does, never a preference."""

    name: str
    title: str
    extension_name: str = Field(description="{namespace} and {name} stand for the WasmPlugin's")
    http_filters: list[PlainFilter | PluginSlot]
    config_discovery: ConfigDiscovery
    network_plugins: bool = Field(description="Whether `type: NETWORK` is known; if not, it is an HTTP filter")
    plugin_validation: bool = Field(
        description="Whether Discovery checks a WasmPlugin as it comes; what it refuses leaves the old one in force"
    )
    target_refs: bool = Field(description="Whether a plugin's targetRef and targetRefs count")
    root_namespace_plugins: Literal["first", "last"] = Field(
        description="Where they stand among those of the proxy's own namespace that have the same priority"
    )
    extensions_served: Literal["selected", "named"] = Field(
        description="Whether ECDS holds those that select the proxy, or all of its and the root namespace, by name"
    )
    failure_field: Literal["fail_open", "failure_policy"]
    on_fetch_failure: FetchFailure
    agent_nack_code: int = Field(description="The gRPC code in the agent's own NACK, 0 for none")
    wamr_modules: bool = Field(
        description="Whether the agent looks for code compiled for WAMR in a module, and switches the runtime"
    )
    abi_shim: AbiShim = Field(
        description="Whether the agent renames the ABI of Higress' Go SDK, which stock Envoy does not know (auto)"
    )
    xds_variant: Literal["sotw", "delta"]
    mcp_types: list[str] = Field(description="The type URLs that Discovery asks its MCP server for, in order")
    bugs: dict[str, str] = Field(
        default_factory=dict, description="Known bugs of the real agent, reproduced: name, and its source"
    )


def profile_names() -> list[str]:
    """The bundled profiles, the default first."""
    found = sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files("sim").joinpath("profile_data").iterdir()
        if entry.name.endswith(".yaml")
    )
    return [DEFAULT_PROFILE, *(name for name in found if name != DEFAULT_PROFILE)]


def load_profile(name: str) -> Profile:
    """A bundled profile by its name, or one's own by its path (whatever has a slash or ends in .yaml).

    Raises InvalidInput when there is none, or it does not fit.
    """
    if "/" in name or name.endswith((".yaml", ".yml")):
        try:
            return _parse(Path(name).read_text(encoding="utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"can't read the profile: {error}", where=Location(name)) from error
    if name not in profile_names():
        raise InvalidInput(
            f"there is no profile {name!r}",
            hint=f"use one of {', '.join(profile_names())}, or a path to your own .yaml file",
        )
    source = resources.files("sim").joinpath("profile_data", f"{name}.yaml")
    return _parse(source.read_text(encoding="utf-8"), f"{name}.yaml")


def _parse(text: str, file: str) -> Profile:
    try:
        data = YAML(typ="safe").load(text)
        return Profile.model_validate(data)
    except YAMLError as error:
        raise InvalidInput(f"not YAML: {error}", where=Location(file)) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        raise InvalidInput(first["msg"], where=Location(file, key=key)) from error
