"""OCI images of Wasm plugins: references, images, the embedded registry, push, and pull as the agent does it."""

from sim.oci.archive import is_wasm, plugin_member, unboxed
from sim.oci.credentials import Credentials, credentials_for
from sim.oci.endpoints import Endpoint, Endpoints
from sim.oci.fetch_error import MAX_BYTES, FetchError, FetchReason, NotWasmError, TooLargeError
from sim.oci.http_fetch import HttpFetcher, HttpModule, growing_pauses_s
from sim.oci.images import PLUGIN_FILE, Blob, Image, ImageFormat, build_image, compressed, tar_archive
from sim.oci.pull import OciFetcher, Prepared
from sim.oci.push import push
from sim.oci.references import Reference, is_digest, is_repository, is_tag, parse_image_url, parse_reference
from sim.oci.registry import (
    BasicAuth,
    ErrorCode,
    Fault,
    Registry,
    TokenAuth,
    error_response,
    reset_connection,
)

__all__ = [
    "MAX_BYTES",
    "PLUGIN_FILE",
    "BasicAuth",
    "Blob",
    "Credentials",
    "Endpoint",
    "Endpoints",
    "ErrorCode",
    "Fault",
    "FetchError",
    "FetchReason",
    "HttpFetcher",
    "HttpModule",
    "Image",
    "ImageFormat",
    "NotWasmError",
    "OciFetcher",
    "Prepared",
    "Reference",
    "Registry",
    "TokenAuth",
    "TooLargeError",
    "build_image",
    "compressed",
    "credentials_for",
    "error_response",
    "growing_pauses_s",
    "is_digest",
    "is_repository",
    "is_tag",
    "is_wasm",
    "parse_image_url",
    "parse_reference",
    "plugin_member",
    "push",
    "reset_connection",
    "tar_archive",
    "unboxed",
]
