"""Faults that a scenario injects and clears: of a link's bytes, of its xDS messages, of the registry's answers.

`docs/faults.md` lists them all and shows how to add one.
"""

from sim.scenario.faults.active import ActiveFault, Direction
from sim.scenario.faults.board import FaultBoard
from sim.scenario.faults.faulty_link import FaultyLink
from sim.scenario.faults.kind import KINDS, FaultKind
from sim.scenario.faults.spec import (
    ALL,
    LINKS,
    REGISTRY,
    XDS_LINKS,
    ClearSpec,
    FaultSpec,
    LinkName,
    Place,
    links_of,
)

__all__ = [
    "ALL",
    "KINDS",
    "LINKS",
    "REGISTRY",
    "XDS_LINKS",
    "ActiveFault",
    "ClearSpec",
    "Direction",
    "FaultBoard",
    "FaultKind",
    "FaultSpec",
    "FaultyLink",
    "LinkName",
    "Place",
    "links_of",
]
