"""Where a configuration dump comes from: an Envoy, a file, or a Discovery."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sim.commands.addresses import Address, address
from sim.commands.discovery_debug import chosen, config_dump_of, discovery_debug_option, proxies_of
from sim.commands.http_get import get_json
from sim.errors import EnvironmentProblem, InvalidInput, Location, SimError

if TYPE_CHECKING:
    from sim.report.proxy_config import ConfigDump

_IN_RUN_DIRECTORY = "config_dump.json"
#: Sections that a dump may lack for a good reason.
_WHY_MISSING = {"Ecds": "Envoy has one as soon as a listener names a plugin"}


@dataclass(frozen=True, slots=True)
class DumpSource:
    """Exactly one of `file`, `admin` and `discovery` is set; `proxy` picks one of a Discovery's or of a run's."""

    file: str | None = None
    admin: Address | None = None
    discovery: Address | None = None
    proxy: str | None = None

    def read(self) -> ConfigDump:
        """Raises InvalidInput for a file that can't be used, EnvironmentProblem for an address."""
        from sim.report.proxy_config import ConfigDump

        if self.file is not None:
            data = _read_file(self.file, self.proxy)
        elif self.admin is not None:
            hint = "give the address of Envoy's admin interface, which Envoy says when it starts"
            data = get_json(self.admin, "/config_dump", "Envoy's admin interface", hint)
        else:
            assert self.discovery is not None
            proxies = chosen(proxies_of(self.discovery), self.proxy or None, self.discovery)
            names = list(dict.fromkeys(proxy.name for proxy in proxies))
            if len(names) != 1:
                hint = f"name one of {', '.join(names)}" if names else "start an agent and its Envoy"
                raise InvalidInput(f"the Discovery at {self.discovery} has {len(names) or 'no'} proxies", hint=hint)
            data = config_dump_of(self.discovery, names[0])
        try:
            return ConfigDump(data)
        except ValueError as error:
            raise self.problem(
                f"this is no configuration dump: {error}", "save what Envoy's /config_dump gives"
            ) from None

    def lacks(self, section: str) -> SimError:
        """That the dump has no such section at all."""
        hint = _WHY_MISSING.get(section, "")
        whole = "save the whole /config_dump, without ?resource=" if self.file is not None else ""
        return self.problem(
            f"this configuration dump has no {section}ConfigDump", "; ".join(filter(None, (hint, whole))) or None
        )

    def problem(self, message: str, hint: str | None) -> SimError:
        """An error about what was read, of the kind that the source calls for."""
        if self.file is not None:
            return InvalidInput(message, where=Location("stdin" if self.file == "-" else self.file), hint=hint)
        return EnvironmentProblem(f"{self.admin or self.discovery}: {message}", hint=hint)


def reading_dump(run: Callable[..., None]) -> Callable[..., None]:
    """A command that is called with a ConfigDump: adds the argument and the options that say which."""

    @click.argument("proxy", required=False)
    @click.option(
        "-f",
        "--file",
        metavar="FILE|DIR",
        help="A saved /config_dump, - for stdin, or the directory of a run.",
    )
    @click.option("--admin", type=address, metavar="HOST:PORT", help="An Envoy's admin interface.")
    @discovery_debug_option
    @functools.wraps(run)
    def command(
        proxy: str | None, file: str | None, admin: Address | None, discovery_debug: Address | None, **rest: Any
    ) -> None:
        from sim.report.proxy_config import NoSection

        source = _one_of(proxy, file, admin, discovery_debug)
        try:
            run(source.read(), **rest)
        except NoSection as missing:
            raise source.lacks(str(missing)) from None

    return command


def _one_of(proxy: str | None, file: str | None, admin: Address | None, discovery: Address | None) -> DumpSource:
    """Raises InvalidInput when it is not one source, or PROXY is given for one that has a single proxy."""
    context = click.get_current_context()
    if (file or admin) and context.get_parameter_source("discovery_debug") is ParameterSource.ENVIRONMENT:
        discovery = None
    given = {"-f": file, "--admin": admin, "--discovery-debug": discovery}
    named = [option for option, value in given.items() if value is not None]
    if not named:
        raise InvalidInput(
            "it is not said whose configuration to show",
            hint="add --admin HOST:PORT (Envoy's), -f FILE (a dump or a run directory) or --discovery-debug HOST:PORT",
        )
    if len(named) > 1:
        raise InvalidInput(f"{' and '.join(named)} exclude each other", hint="keep one of them")
    if proxy is not None and admin is not None:
        raise _nothing_to_pick("--admin", proxy)
    return DumpSource(file, admin, discovery, proxy)


def _nothing_to_pick(what: str, proxy: str) -> InvalidInput:
    return InvalidInput(
        f"{what} has the configuration of one proxy, so {proxy!r} says nothing",
        hint="leave the name out, or ask a Discovery with --discovery-debug",
    )


def _read_file(name: str, proxy: str | None) -> Any:
    """JSON from a file, from the dump of a run directory, or from stdin. Raises InvalidInput."""
    path = _of_run(Path(name), proxy) if name != "-" and Path(name).is_dir() else None
    if path is None and proxy is not None:
        raise _nothing_to_pick("stdin" if name == "-" else name, proxy)
    where = Location("stdin" if name == "-" else str(path or name))
    try:
        content = sys.stdin.buffer.read() if name == "-" else (path or Path(name)).read_bytes()
    except FileNotFoundError as error:
        hint = "name a file, or a run directory" if path is None else "only a run that got as far as Envoy has one"
        raise InvalidInput("there is no such file", where=where, hint=hint) from error
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror or error}", where=where) from error
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"is not JSON: {error}", where=where, hint="save what Envoy's /config_dump gives") from error


def _of_run(directory: Path, proxy: str | None) -> Path:
    """The dump of a run's gateway, which `proxy` names where there are several. Raises InvalidInput."""
    gateways = {file.parent.name: file for file in sorted(directory.glob(f"gateways/*/{_IN_RUN_DIRECTORY}"))}
    if not gateways:
        if proxy is not None:
            raise _nothing_to_pick(str(directory), proxy)
        return directory / _IN_RUN_DIRECTORY
    if proxy is None and len(gateways) == 1:
        return next(iter(gateways.values()))
    for name, file in gateways.items():
        # As Discovery knows it, or as the scenario does.
        if proxy is not None and (proxy == name or proxy.startswith(f"{name}.")):
            return file
    what = "it had several gateways" if proxy is None else f"it had no gateway {proxy!r}"
    raise InvalidInput(what, where=Location(str(directory)), hint=f"name one of {', '.join(gateways)}")
