"""The live page: a session under a loopback address, for a browser, for kubectl, for Prometheus."""
