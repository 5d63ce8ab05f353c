"""Wasm modules: reading and rewriting them, the version stamp, the bundled plugins."""

from sim.wasm.binary import MAX_MODULE_BYTES, MalformedModule
from sim.wasm.bundled import BundledPlugin, bundled, bundled_names
from sim.wasm.module import (
    DataSegment,
    Export,
    Import,
    Module,
    Section,
    SectionId,
    abi_versions,
    parse,
    rename_export,
)
from sim.wasm.stamp import stamp, stamped_version

__all__ = [
    "MAX_MODULE_BYTES",
    "BundledPlugin",
    "DataSegment",
    "Export",
    "Import",
    "MalformedModule",
    "Module",
    "Section",
    "SectionId",
    "abi_versions",
    "bundled",
    "bundled_names",
    "parse",
    "rename_export",
    "stamp",
    "stamped_version",
]
