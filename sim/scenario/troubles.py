"""What stands in a wait's way, as the trace tells it: parts that are down, and faults in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sim.trace import Event

_NAMES = {"core": "Core", "discovery": "Discovery", "registry": "the registry", "agent": "the agent", "envoy": "Envoy"}


def troubles(events: Sequence[Event]) -> Iterator[str]:
    """Each in a few words: `Core is down since step 3`, `the fault outage on registry is in force (2 hits)`."""
    step = ""
    down: dict[str, str] = {}
    faults: dict[str, tuple[str, int]] = {}
    for event in events:
        data = event.data
        match event.event:
            case "run.step" if event.span == "started":
                step = str(data.get("number") or int(data.get("index", 0)) + 1)
            case "run.kill" | "run.stop" if event.span == "started":
                down[str(data["target"])] = step
            case "run.start" if event.span == "completed":
                down.pop(str(data["target"]), None)
            case "fault.injected":
                faults[str(data["fault"])] = (str(data["on"]), 0)
            case "fault.hit" if data["fault"] in faults:
                on, hits = faults[data["fault"]]
                faults[data["fault"]] = (on, hits + 1)
            case "fault.cleared":
                faults.pop(str(data["fault"]), None)
            case _:
                pass
    for part, since in down.items():
        name, _, gateway = part.partition("/")
        of = f" of {gateway}" if gateway else ""
        yield f"{_NAMES.get(name, name)}{of} is down" + (f" since step {since}" if since else "")
    for fault, (on, hits) in faults.items():
        yield f"the fault {fault} on {on} is in force ({hits} {'hit' if hits == 1 else 'hits'})"
