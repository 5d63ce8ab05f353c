"""Which response is the newest for a resource, and which files are in use."""

from __future__ import annotations

from pathlib import Path

from sim.agent.deliveries import DeliveryOrder, ModulesInUse

OLD, NEW = Path("/old.wasm"), Path("/new.wasm")


def test_a_response_is_overtaken_by_name_and_only_once_the_newer_one_was_delivered() -> None:
    order = DeliveryOrder()
    first, second = order.received(["p", "q"]), order.received(["p"])
    assert order.replaced(first, "p")
    assert not order.replaced(first, "q")
    assert not order.replaced(second, "p")
    assert not order.overtaken(first, "p")
    order.delivered(second, ["p"])
    assert order.overtaken(first, "p")
    assert not order.overtaken(first, "q")
    assert not order.overtaken(second, "p")


def test_a_late_delivery_does_not_make_the_newer_one_forgotten() -> None:
    order = DeliveryOrder()
    first, second, third = (order.received(["p"]) for _ in range(3))
    order.delivered(second, ["p"])
    order.delivered(first, ["p"])
    assert order.overtaken(first, "p")
    assert not order.overtaken(third, "p")


def test_a_file_is_in_use_until_what_replaces_it_is_acknowledged() -> None:
    used = ModulesInUse()
    used.delivered("gw", "1", {"p": OLD})
    used.acknowledged("gw", "1", rejected=False)
    used.delivered("gw", "2", {"p": NEW})
    assert used.paths() == {OLD, NEW}
    used.acknowledged("gw", "2", rejected=False)
    assert used.paths() == {NEW}
    used.delivered("gw", "3", {"p": None})
    used.acknowledged("gw", "3", rejected=False)
    assert used.paths() == set()


def test_a_rejected_file_is_not_in_use_and_the_one_before_is() -> None:
    used = ModulesInUse()
    used.delivered("gw", "1", {"p": OLD})
    used.delivered("gw", "2", {"p": NEW})
    used.acknowledged("gw", "2", rejected=True)
    assert used.paths() == {OLD}


def test_nodes_and_resources_are_kept_apart() -> None:
    used = ModulesInUse()
    used.delivered("gw", "1", {"p": OLD})
    used.delivered("gw", "2", {"q": NEW})
    used.delivered("other", "3", {"p": NEW})
    used.acknowledged("gw", "2", rejected=False)
    used.acknowledged("other", "3", rejected=False)
    assert used.paths() == {OLD, NEW}
