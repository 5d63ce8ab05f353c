"""An embedded OCI distribution registry."""

from sim.oci.registry.auth import BasicAuth, TokenAuth
from sim.oci.registry.errors import ErrorCode, error_response
from sim.oci.registry.faults import Fault, reset_connection
from sim.oci.registry.server import Registry

__all__ = [
    "BasicAuth",
    "ErrorCode",
    "Fault",
    "Registry",
    "TokenAuth",
    "error_response",
    "reset_connection",
]
