"""ecdsim: replays how a Wasm plugin reaches a gateway, into a real Envoy, and measures every step."""

import os

# gRPC's C core writes its own remarks to stderr, such as one GOAWAY a connection, and asks for this once, when it is
# first imported by whichever module; a user's choice is kept.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
