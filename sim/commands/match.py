"""`ecdsim match`: which rule of a WasmPlugin a request gets, and why the others do not match."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from sim.commands.convert import manifests_in, said
from sim.commands.output import output_option, reading_may_end, write_data
from sim.errors import InvalidInput, Location

if TYPE_CHECKING:
    from sim.manifests import Manifest
    from sim.wasm.rule_conditions import Request
    from sim.wasm.rule_matcher import Match, RuleMatcher, Verdict


@click.command()
@click.option("-f", "--filename", required=True, metavar="FILE", help="A manifest, a folder of them, or - for stdin.")
@click.option("--plugin", metavar="NAMESPACE/NAME", help="Which of several WasmPlugins is meant.")
@click.option("--authority", required=True, metavar="HOST[:PORT]", help="The request's :authority, its Host header.")
@click.option(
    "--route", default="", metavar="NAME", help="The name of its route; for an Ingress that is NAMESPACE/INGRESS."
)
@click.option(
    "--cluster", default="", metavar="NAME", help="The name of its cluster, such as 'outbound|80||web.default'."
)
@output_option
def match(filename: str, plugin: str | None, authority: str, route: str, cluster: str, output: str) -> int:
    """Print which rule of a WasmPlugin a request gets, and its configuration.

    Core converts the plugin as it does for `convert`; the rules are then held against the request as Higress' Go SDK
    does it inside the plugin: the first listed one that matches wins. What is printed is the configuration that the
    SDK hands to the plugin; the plugin's own checks of it are not made. Exits with 1 when Core refuses the plugin or
    the plugin would not start with it; the reason is on stderr.
    """
    from sim.wasm.rule_conditions import Request

    _check_authority(authority)
    manifests = manifests_in(filename)
    found = _look(manifests, _meant(manifests, plugin, filename), Request(authority, route, cluster))
    with reading_may_end():
        if output == "table":
            _print_table(found)
        else:
            write_data(found.as_json(), output)
    return 0 if found.error is None else 1


def _check_authority(authority: str) -> None:
    if not authority or "/" in authority or any(character.isspace() for character in authority):
        raise InvalidInput(
            f"--authority {authority!r} is no :authority of a request",
            hint="give the host alone, and its port if there is one, such as www.example.com:8080",
        )


@dataclass(frozen=True, slots=True)
class _Written:
    """The rules as the manifest has them: the places in its matchRules of those that Core passes on, and of those that
    it leaves out because they are disabled. Both are empty where `_rules_` are not Core's work."""

    passed_on: tuple[int, ...] = ()
    disabled: tuple[int, ...] = ()

    def place(self, index: int) -> int | None:
        """Where the rule with that number in `_rules_` stands in matchRules."""
        return self.passed_on[index] if index < len(self.passed_on) else None


@dataclass(frozen=True, slots=True)
class _Found:
    """What came out for one plugin and one request. `error`: why the plugin does not start."""

    plugin: str
    request: Request
    match: Match
    matcher: RuleMatcher | None = None
    error: str | None = None
    written: _Written = _Written()

    def as_json(self) -> dict[str, Any]:
        from sim.wasm.rule_matcher import without_control_keys

        document: dict[str, Any] = {
            "plugin": self.plugin,
            "request": {
                "authority": self.request.authority,
                "route_name": self.request.route_name or None,
                "cluster_name": self.request.cluster_name or None,
            },
            "start": "ok" if self.error is None else "error",
            "matched": self.match.matched,
            "config": without_control_keys(self.match.given),
            "rules": [
                {**_rule_as_json(verdict), "match_rule": self.written.place(verdict.rule.index)}
                for verdict in self.match.verdicts
            ],
            "disabled_match_rules": list(self.written.disabled),
            "global": without_control_keys(self.matcher.global_given) if self.matcher else None,
        }
        if self.error is not None:
            document["error"] = self.error
        # The same object twice would be an alias in YAML.
        unshared: dict[str, Any] = json.loads(json.dumps(document))
        return unshared


def _rule_as_json(verdict: Verdict) -> dict[str, Any]:
    from sim.wasm.rule_matcher import without_control_keys

    conditions = verdict.rule.conditions
    return {
        "rule": verdict.rule.name,
        "category": conditions.category.value,
        "conditions": {key: list(names) for key, names in conditions.counting().items()},
        "ignored": {key: list(conditions.names[key]) for key in conditions.ignored},
        "fits": verdict.fits,
        "why": verdict.why,
        "config": without_control_keys(verdict.rule.given),
    }


def _meant(manifests: Sequence[Manifest], plugin: str | None, filename: str) -> str:
    """The key of the plugin that is meant. Raises InvalidInput."""
    from sim.manifests import WASM_PLUGIN

    where = Location("stdin" if filename == "-" else filename)
    keys = list(dict.fromkeys(manifest.key for manifest in manifests if manifest.kind == WASM_PLUGIN))
    if not keys:
        raise InvalidInput("there is no WasmPlugin in it", where=where, hint="pass the manifest of one")
    if plugin is None:
        if len(keys) > 1:
            raise InvalidInput(
                f"there are {len(keys)} WasmPlugins in it: {', '.join(keys)}",
                where=where,
                hint=f"say which one is meant, such as --plugin {keys[0]}",
            )
        return keys[0]
    if plugin not in keys:
        close = difflib.get_close_matches(plugin, keys, n=1, cutoff=0.4)
        raise InvalidInput(
            f"there is no WasmPlugin {plugin} in it",
            where=where,
            hint=f"did you mean {close[0]}?" if close else f"there is {', '.join(keys)}",
        )
    return plugin


def _look(manifests: Sequence[Manifest], key: str, request: Request) -> _Found:
    from sim.core import Controller, CoreOptions, Store
    from sim.discovery.go_json import struct_text
    from sim.trace import Trace
    from sim.wasm.rule_matcher import Match, PluginNotStarted, RuleMatcher, read_configuration

    store, trace = Store(), Trace()
    controller = Controller(store, CoreOptions(), trace)
    refusal: str | None = None
    for manifest in manifests:
        seen = len(trace.events)
        store.apply(manifest)
        for event in trace.events[seen:]:
            told, is_refusal = said(manifest, event)
            if told is None or event.plugin != key:
                continue
            if is_refusal:
                refusal = told
            click.echo(f"{manifest.location}: {manifest.kind} {manifest.key}: {told}", err=True)
    plugin: Any = next((held.body for held in controller.resources("WasmPlugin") if held.name == key), None)
    if plugin is None:
        return _Found(key, request, Match(None), error=refusal)
    written = _written(manifests, key)
    # The text that Discovery sends, so that numbers are what the plugin will see.
    text = struct_text(plugin.plugin_config) if plugin.HasField("plugin_config") else ""
    try:
        matcher = RuleMatcher.parse(read_configuration(text))
    except PluginNotStarted as error:
        click.echo(f"WasmPlugin {key}: the plugin does not start: {error.reason}", err=True)
        return _Found(key, request, Match(None), error=error.reason)
    return _Found(key, request, matcher.match(request), matcher, written=written)


def _written(manifests: Sequence[Manifest], key: str) -> _Written:
    """What the manifest that is in force says of its rules; a pluginConfig beside them is told on stderr."""
    from sim.core import ConversionError
    from sim.core.convert import decode_higress
    from sim.manifests import HIGRESS_WASM, WASM_PLUGIN

    manifest = [each for each in manifests if each.kind == WASM_PLUGIN and each.key == key][-1]
    if manifest.api_version != HIGRESS_WASM:
        return _Written()
    try:
        plugin = decode_higress(manifest.spec)
    except ConversionError:
        return _Written()
    if plugin.HasField("plugin_config"):
        names = {"defaultConfig": plugin.HasField("default_config"), "matchRules": bool(plugin.match_rules)}
        if ignored := " and ".join(name for name, given in names.items() if given):
            click.echo(f"{manifest.location}: it has a pluginConfig, so its {ignored} are ignored", err=True)
        return _Written()
    disabled = [bool(rule.config_disable.value) for rule in plugin.match_rules]
    return _Written(
        tuple(index for index, off in enumerate(disabled) if not off),
        tuple(index for index, off in enumerate(disabled) if off),
    )


def _print_table(found: _Found) -> None:
    from sim.report.columns import Table

    asked = found.request
    click.echo(f"plugin     {found.plugin}")
    click.echo(f"request    {asked.authority}, route {asked.route_name or '-'}, cluster {asked.cluster_name or '-'}")
    if found.error is not None:
        click.echo("applies    nothing: the plugin does not run")
        return
    matched = found.match.matched
    click.echo(f"applies    {matched or 'nothing: the plugin leaves this request alone'}")
    if found.match.verdicts or found.written.disabled:
        placed = [(found.written.place(verdict.rule.index), verdict) for verdict in found.match.verdicts]
        listed = [(place or 0, _row(verdict, matched, place)) for place, verdict in placed]
        listed += [
            (place, ("", f"matchRules[{place}]", "-", "-", "disabled: Core passes it on to nobody"))
            for place in found.written.disabled
        ]
        # Of a pluginConfig's own rules all have place 0, and keep their order.
        rows = [row for _, row in sorted(listed, key=lambda each: each[0])]
        if found.matcher is not None and found.matcher.has_global:
            why = "no rule matches" if matched == "global" else f"{matched} comes first"
            rows.append(_marked("global", matched, "-", "-", why))
        click.echo(f"\n{Table(('', 'RULE', 'BY', 'CONDITION', 'WHY'), rows)}")
    if matched is not None:
        config = found.as_json()["config"]
        if config is None:
            click.echo("\nconfig     none")
            return
        click.echo("\nconfig")
        write_data(config, "yaml")


def _row(verdict: Verdict, matched: str | None, place: int | None) -> tuple[str, ...]:
    conditions = verdict.rule.conditions
    listed = " and ".join(", ".join(names) for names in conditions.counting().values())
    ignored = f" (ignored: {', '.join(conditions.ignored)})" if conditions.ignored else ""
    # Core leaves disabled rules out, so that the others move up.
    where = "" if place in (None, verdict.rule.index) else f" (matchRules[{place}])"
    mark, name, *cells = _marked(verdict.rule.name, matched, conditions.category.value, listed, verdict.why + ignored)
    return (mark, name + where, *cells)


def _marked(name: str, matched: str | None, *cells: str) -> tuple[str, ...]:
    return ("->" if name == matched else "", name, *cells)
