"""The command line, assembled. Data goes to stdout, everything else to stderr; exit codes are those of the design."""

from __future__ import annotations

import asyncio
from importlib.metadata import version as package_version

import click

from sim.commands import statuses
from sim.commands.agent import agent
from sim.commands.aliases import AliasedGroup
from sim.commands.convert import convert
from sim.commands.core import core
from sim.commands.diff import diff
from sim.commands.discovery import discovery
from sim.commands.envoy import envoy_command
from sim.commands.import_dump import import_dump_command
from sim.commands.init import init
from sim.commands.logs import logs
from sim.commands.match import match
from sim.commands.output import discard_stdout
from sim.commands.plugin import plugin
from sim.commands.proxy_config import proxy_config
from sim.commands.proxy_status import proxy_status
from sim.commands.registry import registry
from sim.commands.replay import replay
from sim.commands.report import report
from sim.commands.run import run, schema, validate
from sim.commands.test import test
from sim.commands.up import up
from sim.errors import SimError


@click.group(cls=AliasedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version("ecdsim"), prog_name="ecdsim")
def cli() -> None:
    """Replay how a Wasm plugin reaches a gateway, into a real Envoy, and measure every step."""


for command in (run, test, diff, replay, validate, schema, convert, match, core, discovery, agent, registry):
    cli.add_command(command)
cli.add_command(report)
cli.add_command(logs)
cli.add_command(up)
cli.add_command(import_dump_command)
cli.add_command(init)
cli.add_command(plugin)
cli.add_command(envoy_command)
cli.add_aliased(proxy_config, ["pc"])
cli.add_aliased(proxy_status, ["ps"])


def main() -> int:
    """Run the command line; the exit status. What a user can mend becomes a message, never a traceback."""
    try:
        outcome = cli(standalone_mode=False)
    except SimError as error:
        click.echo(f"ecdsim: {error}", err=True)
        return error.exit_code
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return statuses.USAGE
    except (asyncio.CancelledError, KeyboardInterrupt, click.Abort):
        click.echo("ecdsim: interrupted", err=True)
        return statuses.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        discard_stdout()
        return statuses.PASSED
    return outcome if isinstance(outcome, int) else statuses.PASSED
