"""`python -m bench.subscribers ADDRESS COUNT FIRST PLUGIN`: proxies that subscribe and acknowledge, nothing else.

A process of their own, so that what they cost is not taken for Discovery's. Each has a channel, so a connection, of
its own. A line of JSON on stdout says when the last one has a version: `{"has": "2.0.0", "first_ns": …, "last_ns": …}`
(CLOCK_MONOTONIC). It ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc.aio

from sim.model import ECDS, LDS, gateway_node
from sim.xds import Variant
from sim.xds.client import channel, open_stream
from sim.xds.messages import DeltaDiscoveryRequest, DeltaDiscoveryResponse, EnvoyNode

#: Thousands of channels that connect at once fail; so many at a time do not.
_RAMP = 25
_TAG = re.compile(rb"/plugins/marker:([0-9.]+)")


def more_files() -> None:
    """Lift the limit of open files to what the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(slots=True)
class Tally:
    """Who has which version, since when."""

    count: int
    times_ns: dict[str, list[int]] = field(default_factory=dict)

    def has(self, version: str) -> None:
        times_ns = self.times_ns.setdefault(version, [])
        times_ns.append(time.monotonic_ns())
        if len(times_ns) == self.count:
            print(json.dumps({"has": version, "first_ns": times_ns[0], "last_ns": times_ns[-1]}), flush=True)


async def _subscriber(address: str, number: int, plugin: str, tally: Tally, subscribed: asyncio.Event) -> None:
    gateway = gateway_node()
    domain = "higress-system.svc.cluster.local"
    node = EnvoyNode(id=f"router~10.0.{number // 250}.{number % 250 + 1}~gateway-{number}.higress-system~{domain}")
    labels = node.metadata.fields["LABELS"].struct_value.fields
    for key, value in gateway.labels.items():
        labels[key].string_value = value
    async with channel(address) as opened:
        call = open_stream(opened, Variant.DELTA)
        await call.write(DeltaDiscoveryRequest(node=node, type_url=LDS).SerializeToString())
        await call.write(DeltaDiscoveryRequest(type_url=ECDS, resource_names_subscribe=[plugin]).SerializeToString())
        while (message := await call.read()) is not grpc.aio.EOF:
            response = DeltaDiscoveryResponse.FromString(message)
            if response.type_url == ECDS:
                found = _TAG.search(message)
                if found is not None:
                    tally.has(found[1].decode())
                    subscribed.set()
            await call.write(
                DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce).SerializeToString()
            )


async def subscribe(address: str, count: int, first: int, plugin: str) -> None:
    """Hold `count` subscriptions until stdin ends."""
    tally = Tally(count)
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        held: list[asyncio.Task[None]] = []
        for begin in range(0, count, _RAMP):
            batch = range(begin, min(begin + _RAMP, count))
            subscribed = [asyncio.Event() for _ in batch]
            held += [
                tasks.create_task(_subscriber(address, first + number, plugin, tally, event))
                for number, event in zip(batch, subscribed, strict=True)
            ]
            for event in subscribed:
                await event.wait()
        await asyncio.to_thread(sys.stdin.read)
        for task in held:
            task.cancel()


if __name__ == "__main__":
    more_files()
    asyncio.run(subscribe(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
