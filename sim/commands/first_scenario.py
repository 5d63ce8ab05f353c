"""The texts of a first scenario: commented, so that it explains itself, and complete, so that it runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

NAMESPACE = "higress-system"
UPSTREAM = f"outbound|80||upstream.{NAMESPACE}.svc.cluster.local"
_REPOSITORY = "registry.local/plugins"


@dataclass(frozen=True, slots=True)
class First:
    """What varies. The texts are lines of YAML without their indentation.

    `config` is the plugin's, `requests` what is asked while version 1.0.0 is in force. `file` is the module, as seen
    from the scenario's folder, None for a bundled plugin.
    """

    name: str
    config: tuple[str, ...]
    requests: tuple[str, ...]
    file: str | None = None

    @property
    def key(self) -> str:
        return f"{NAMESPACE}/{self.name}"

    def reference(self, tag: str) -> str:
        return f"{_REPOSITORY}/{self.name}:{tag}"


def bundled_first(plugin: str) -> First:
    """With a configuration that shows what the bundled plugin does."""
    config, requests = _STARTS.get(plugin, ((), ()))
    if not requests:
        requests = (_answer(200, f"x-{plugin}-version: 1.0.0"),)
    return First(plugin, config, requests)


def own_first(name: str, file: str) -> First:
    """With a module of which nothing is known: what it answers and needs is for its author to write."""
    return First(name, (), ("request: {path: /}",), file)


def manifest_text(first: First) -> str:
    """The WasmPlugin, as kubectl takes it."""
    lines = [
        "# An unmodified WasmPlugin: what you would give kubectl.",
        "apiVersion: extensions.higress.io/v1alpha1",
        "kind: WasmPlugin",
        "metadata:",
        f"  name: {first.name}",
        f"  namespace: {NAMESPACE}",
        "spec:",
        "  # The host need not exist: the registry of the run answers for every host that the scenario's images name.",
        f"  url: oci://{first.reference('1.0.0')}",
    ]
    if first.config:
        lines += ["  # For every request; matchRules would choose by ingress, domain or service.", "  defaultConfig:"]
        lines += [f"    {line}" for line in first.config]
    else:
        lines += ["  # Here goes what the plugin is configured with, under its own keys.", "  defaultConfig: {}"]
    return "\n".join(lines) + "\n"


def scenario_text(first: First, schema: str, manifest: str) -> str:
    """The scenario, which applies `manifest` and names `schema` to editors."""
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "#",
        "# DIR is the folder of this file:",
        "#   ecdsim validate DIR   checks it and every file that it names, and starts nothing",
        "#   ecdsim run DIR        runs it; what happened is shown, and kept in runs/",
        "apiVersion: ecdsim/v1",
        "kind: Scenario",
        "metadata:",
        f"  name: {first.name}",
        "  title:",
        f"    en: A first rollout of {first.name}",
        "spec:",
        "  # Whose behaviour is replayed: higress, higress-1.19 or istio-1.27.",
        "  profile: higress",
        "  gateway: {workers: 2}",
        *_images(first),
        "  # Requests at a steady rate, over connections that stay open for the whole run.",
        "  traffic:",
        "    users: {rate: 100/s, connections: 4, path: /}",
        "  # What is done, in this order.",
        "  steps:",
        f"  - apply: {manifest}",
        *_steps(first),
        "  # What must be so in the end: CEL over result.json, which `ecdsim schema result` describes.",
        "  expect:",
        "  - traffic.users.failed == 0",
        "  - rollouts.all(r, r.acked && !r.nacked)",
    ]
    if first.file is None:
        lines += [
            "  - size(rollouts) == 2",
            "  # No response by the old version any more, so long after the new image was asked for.",
            "  - rollouts[1].settled_ms < 20000",
        ]
    return "\n".join(lines) + "\n"


def _images(first: First) -> list[str]:
    if first.file is None:
        return [
            "  # What the registry holds when the run begins. A bundled plugin tells its tag in every response; a",
            "  # module of your own is an entry such as {file: main.wasm, as: registry.local/plugins/mine:1.0.0}.",
            "  images:",
            f"  - {{plugin: {first.name}, tag: 1.0.0}}",
            f"  - {{plugin: {first.name}, tag: 2.0.0}}",
        ]
    return [
        "  # What the registry holds when the run begins; the path starts at this file's folder.",
        "  images:",
        f"  - file: {_quoted(first.file)}",
        f"    as: {first.reference('1.0.0')}",
    ]


def _steps(first: First) -> list[str]:
    if first.file is None:
        settled = f"  - wait: {{settled: {first.key}, within: 20s}}"
        return [
            "  # Until it answers every request, on every connection.",
            settled,
            *(f"  - {request}" for request in first.requests),
            "  # A new image, as when somebody edits the tag in the URL.",
            f"  - bump: {{plugin: {first.key}, tag: 2.0.0}}",
            settled,
        ]
    return [
        "  # Until Envoy has taken it; a module built with Go takes it seconds.",
        f"  - wait: {{acked: {first.key}, within: 120s}}",
        "  # What the plugin should answer goes here: expect: {status: 403, headers: {x-mine: yes}, body_contains: no}",
        *(f"  - {request}" for request in first.requests),
        "  - sleep: 1s",
        "  # Push your next version under another tag, and roll it out:",
        f"  # - push: {{file: {_quoted(first.file)}, as: {first.reference('2.0.0')}}}",
        f"  # - bump: {{plugin: {first.key}, tag: 2.0.0}}",
        f"  # - wait: {{acked: {first.key}, within: 120s}}",
    ]


def _quoted(text: str) -> str:
    """A YAML scalar of any text: as it is where it can be taken for nothing else, else as JSON writes it."""
    return text if re.fullmatch(r"[\w./][\w./-]*\.wasm", text, re.ASCII) else json.dumps(text, ensure_ascii=False)


def _answer(status: int, *headers: str, path: str = "/", sent: str = "") -> str:
    told = f", headers: {{{', '.join(headers)}}}" if headers else ""
    given = f", headers: {{{sent}}}" if sent else ""
    return f"request: {{path: {path}{given}, within: 10s, expect: {{status: {status}{told}}}}}"


#: A configuration for each bundled plugin that does nothing without one, and what it then answers.
_STARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "custom-response": (
        ("status_code: 200", 'body: "hello from the plugin\\n"'),
        ("request: {path: /, within: 10s, expect: {status: 200, body_contains: hello from the plugin}}",),
    ),
    "easy-logger": (
        ("request: true", "response: true"),
        (_answer(200, "x-easy-logger: 1.0.0"),),
    ),
    "http-call": (
        ("# A cluster of the gateway's; ecdsim pc clusters lists them.", f"cluster: {UPSTREAM}"),
        (_answer(200, 'x-http-call-status: "200"'),),
    ),
    "key-auth": (
        (
            "consumers:",
            "- {name: ann, credential: letmein}",
            "keys: [x-api-key]",
            "in_header: true",
        ),
        (_answer(401), _answer(200, sent="x-api-key: letmein")),
    ),
    "request-block": (
        ("block_urls:", "- swagger.html"),
        (_answer(403, path="/swagger.html"), _answer(200)),
    ),
    "transformer": (
        ("respRules:", "- operate: add", "  headers:", "  - {key: x-greeting, value: hello}"),
        (_answer(200, "x-greeting: hello"),),
    ),
}
