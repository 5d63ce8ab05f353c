"""A configuration dump: Envoy's /config_dump, or Discovery's for a proxy."""

from __future__ import annotations

from typing import Any

from sim.report.proxy_config.fields import Json, field, listed, nested

_SECTION = "type.googleapis.com/envoy.admin.v3.{}ConfigDump"


class NoSection(Exception):
    """The dump lacks a whole section; its name, such as `Ecds`, is the text."""


class ConfigDump:
    """The sections of a dump. Resources come as they stand in it, without the state around them."""

    def __init__(self, data: Any) -> None:
        """Raises ValueError for what is no dump."""
        if not isinstance(data, dict) or not isinstance(data.get("configs"), list):
            raise ValueError("it has no list `configs`")
        self._configs = listed(data, "configs")

    def listeners(self) -> list[Json]:
        """The active listeners, dynamic ones first. Raises NoSection, as the others do."""
        found = []
        for section in self._sections("Listeners"):
            found += [nested(entry, "active_state", "listener") for entry in listed(section, "dynamic_listeners")]
            found += [nested(entry, "listener") for entry in listed(section, "static_listeners")]
        return list(filter(None, found))

    def routes(self) -> list[Json]:
        """The route configurations, dynamic ones first."""
        found = []
        for section in self._sections("Routes"):
            for name in ("dynamic_route_configs", "static_route_configs"):
                found += [nested(entry, "route_config") for entry in listed(section, name)]
        return list(filter(None, found))

    def clusters(self) -> list[Json]:
        """The active clusters, dynamic ones first."""
        found = []
        for section in self._sections("Clusters"):
            for name in ("dynamic_active_clusters", "static_clusters"):
                found += [nested(entry, "cluster") for entry in listed(section, name)]
        return list(filter(None, found))

    def ecds(self) -> Json:
        """The ECDS sections as one, without its type."""
        merged: Json = {}
        for section in self._sections("Ecds"):
            for key, held in section.items():
                if isinstance(held, list):
                    merged.setdefault(key, []).extend(held)
        return merged

    def _sections(self, name: str) -> list[Json]:
        found = [config for config in self._configs if field(config, "@type") == _SECTION.format(name)]
        if not found:
            raise NoSection(name)
        return found
