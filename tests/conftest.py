"""What all tests share."""

from __future__ import annotations

import os

# A test may import grpc before our package does, which would otherwise keep gRPC's own remarks off stderr.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
