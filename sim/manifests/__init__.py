"""Kubernetes manifests, unmodified: read with line numbers, checked as the API server would, written back."""

from sim.manifests.document import Document, read_documents
from sim.manifests.kinds import HIGRESS_WASM, ISTIO_WASM, WASM_PLUGIN
from sim.manifests.manifest import (
    DEFAULT_NAMESPACE,
    Manifest,
    Metadata,
    dump_data,
    dump_manifest,
    load_manifests,
    manifest_from,
    parse_manifests,
)

__all__ = [
    "DEFAULT_NAMESPACE",
    "HIGRESS_WASM",
    "ISTIO_WASM",
    "WASM_PLUGIN",
    "Document",
    "Manifest",
    "Metadata",
    "dump_data",
    "dump_manifest",
    "load_manifests",
    "manifest_from",
    "parse_manifests",
    "read_documents",
]
