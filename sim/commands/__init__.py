"""The commands of `ecdsim`, a module for each family; `sim.cli` assembles them."""
