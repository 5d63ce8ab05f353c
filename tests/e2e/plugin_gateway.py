"""A real Envoy with bundled plugins as static filters, a listener for each configuration, and an upstream that echoes.

The listeners come from a file by LDS, so that a configuration that a plugin refuses costs only its own listener. All
plugins of one module share a VM, as they do in a gateway.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sim.wasm import bundled, stamp
from tests.needs import needed_envoy

VERSION = "2.0.0-e2e"
READY = "starting main dispatch loop"
START_WITHIN_S = 60.0
ANSWER_WITHIN_S = 20.0
_TYPE = "type.googleapis.com/envoy"
_LOOPBACK = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Route:
    """What a listener does with every request. `cluster` None: Envoy answers with `status` itself."""

    cluster: str | None = "echo"
    name: str = ""
    status: int = 204
    prefix: str = "/"


@dataclass(frozen=True)
class Filter:
    """A bundled plugin. `configuration`: text is taken as it is, everything else as JSON."""

    plugin: str
    configuration: Any


@dataclass(frozen=True)
class Listener:
    name: str
    filters: Sequence[Filter]
    routes: Sequence[Route] = (Route(),)
    own_vm: bool = False
    """Then what the plugin says while it is configured is found in the log by the listener's name too."""


@dataclass(frozen=True)
class Response:
    status: int
    headers: Headers
    body: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str | None:
        """The only value of a header, None where there is none."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def echo(self) -> dict[str, Any]:
        """What arrived at the upstream: `method`, `path`, `headers`, `body`."""
        arrived: dict[str, Any] = json.loads(self.body)
        return arrived


@dataclass
class Gateway:
    """A running Envoy. `ports` are those of the listeners that it accepted, by name."""

    log: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    def request(
        self,
        listener: str,
        path: str = "/",
        headers: Mapping[str, str] | Headers = (),
        *,
        host: str = "a.com",
        method: str = "GET",
        body: str | Iterable[str] | None = None,
    ) -> Response:
        """One request on a connection of its own. `body` in several pieces is sent in as many chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[listener], timeout=ANSWER_WITHIN_S)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host)
            for name, value in headers.items() if isinstance(headers, Mapping) else headers:
                connection.putheader(name, value)
            if isinstance(body, str):
                connection.putheader("Content-Length", str(len(body.encode())))
                connection.endheaders(body.encode())
            elif body is not None:
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders((piece.encode() for piece in body), encode_chunked=True)
            else:
                connection.endheaders()
            response = connection.getresponse()
            found = [(name.lower(), value) for name, value in response.getheaders()]
            return Response(response.status, found, response.read().decode())
        finally:
            connection.close()

    def logged(self, plugin: str, text: str) -> bool:
        """Whether that filter has written a message with `text` in it already."""
        return any(_is_message(line, plugin, text) for line in self.log)

    def message(self, plugin: str, text: str) -> list[str]:
        """The lines of that filter's first message with `text` in its first line, as far as they are there."""
        start = next((n for n, line in enumerate(self.log) if _is_message(line, plugin, text)), None)
        assert start is not None, f"{plugin} wrote no {text!r}"
        following = itertools.takewhile(lambda line: not line.startswith("["), self.log[start + 1 :])
        return [line.rstrip("\n") for line in (self.log[start], *following)]

    def wait_until_logged(self, line: str) -> None:
        """Until a line of the log is that one."""
        with self._news:
            found = self._news.wait_for(lambda: f"{line}\n" in self.log or self._ended, ANSWER_WITHIN_S)
        assert found and not self._ended, f"there is no {line!r} in the log"

    def follow(self, stream: Iterable[str]) -> None:
        for line in stream:
            with self._news:
                self.log.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_until_ready(self) -> Self:
        with self._news:
            self._news.wait_for(lambda: self._ended or any(READY in line for line in self.log), START_WITHIN_S)
        if not any(READY in line for line in self.log):
            raise RuntimeError("Envoy did not start:\n" + "".join(self.log))
        return self


def _is_message(line: str, plugin: str, text: str) -> bool:
    return re.search(rf"wasm log {re.escape(plugin)}[ :]", line) is not None and text in line


@contextmanager
def running(folder: Path, *listeners: Listener) -> Iterator[Gateway]:
    """An Envoy with those of the listeners that it accepts; RuntimeError with its log where it does not start."""
    modules = {}
    for plugin in {each.plugin for listener in listeners for each in listener.filters}:
        modules[plugin] = folder / f"{plugin}.wasm"
        modules[plugin].write_bytes(stamp(bundled(plugin).module, VERSION))
    resources = [_listener(listener, modules) for listener in listeners]
    (folder / "listeners.json").write_text(json.dumps({"version_info": "1", "resources": resources}))
    admin_file = folder / "admin-address"
    gateway = Gateway()
    with _echo() as echo_port:
        (folder / "bootstrap.json").write_text(json.dumps(_bootstrap(folder, listeners, echo_port)))
        command = [
            *(str(needed_envoy("THE BUNDLED PLUGINS ARE NOT TRIED IN ONE")), "--config-path"),
            *(str(folder / "bootstrap.json"), "--admin-address-path", str(admin_file)),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"),
            *("--component-log-level", "wasm:info,main:info"),
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        assert process.stderr is not None
        follower = threading.Thread(target=gateway.follow, args=(process.stderr,))
        follower.start()
        try:
            admin = gateway.wait_until_ready() and admin_file.read_text()
            with urllib.request.urlopen(f"http://{admin}/listeners?format=json") as response:
                statuses = json.load(response).get("listener_statuses", ())
            gateway.ports = {each["name"]: each["local_address"]["socket_address"]["port_value"] for each in statuses}
            yield gateway
        finally:
            process.terminate()
            process.wait()
            follower.join()
            process.stderr.close()


@contextmanager
def _echo() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.traffic.echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.terminate()


def _listener(listener: Listener, modules: Mapping[str, Path]) -> dict[str, Any]:
    http_filters = f"{_TYPE}.extensions.filters.http"
    filters = [_filter(listener, each, modules[each.plugin], http_filters) for each in listener.filters]
    filters.append({"name": "router", "typed_config": {"@type": f"{http_filters}.router.v3.Router"}})
    routes = [
        {
            "name": route.name,
            "match": {"prefix": route.prefix},
            **(
                {"route": {"cluster": route.cluster}}
                if route.cluster
                else {"direct_response": {"status": route.status}}
            ),
        }
        for route in listener.routes
    ]
    network_filters = f"{_TYPE}.extensions.filters.network"
    manager = {
        "@type": f"{network_filters}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "@type": f"{_TYPE}.config.listener.v3.Listener",
        "name": listener.name,
        "address": _LOOPBACK,
        "filter_chains": [chain],
    }


def _filter(listener: Listener, each: Filter, module: Path, http_filters: str) -> dict[str, Any]:
    text = each.configuration if isinstance(each.configuration, str) else json.dumps(each.configuration)
    return {
        "name": each.plugin,
        "typed_config": {
            "@type": f"{http_filters}.wasm.v3.Wasm",
            "config": {
                # The name stands before each of the plugin's messages in the log.
                "name": listener.name if len(listener.filters) == 1 else f"{listener.name}/{each.plugin}",
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text},
                "vm_config": {
                    "vm_id": listener.name if listener.own_vm else each.plugin,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(module)}},
                },
            },
        },
    }


def _bootstrap(folder: Path, listeners: Iterable[Listener], echo_port: int) -> dict[str, Any]:
    named = {route.cluster for listener in listeners for route in listener.routes if route.cluster}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": echo_port}}
    endpoint = {"endpoint": {"address": address}}
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": _LOOPBACK},
        "dynamic_resources": {
            "lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": str(folder / "listeners.json")},
            }
        },
        "static_resources": {
            "clusters": [
                {
                    "name": name,
                    "type": "STATIC",
                    "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
                for name in sorted(named)
            ]
        },
    }
