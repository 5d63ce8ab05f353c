"""Traffic through the gateway: the probe, its echo upstream, and what its samples say.

Nothing is imported here: the probe is a process that must start fast, and this package is on its way.
"""
