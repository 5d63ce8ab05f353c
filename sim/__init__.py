"""ecdsim: replays how a Wasm plugin reaches a gateway, into a real Envoy, and measures every step."""
