"""The command line, assembled. Data goes to stdout, everything else to stderr; exit codes are those of the design."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.metadata import version as package_version

import click

from sim.commands.convert import convert
from sim.commands.parts import agent, core, discovery, registry
from sim.commands.run import run, schema, validate
from sim.errors import SimError

EXIT_PASSED, EXIT_FAILED, EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_version("ecdsim"), prog_name="ecdsim")
def cli() -> None:
    """Replay how a Wasm plugin reaches a gateway, into a real Envoy, and measure every step."""


for command in (run, validate, schema, convert, core, discovery, agent, registry):
    cli.add_command(command)


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
        return EXIT_USAGE
    except (asyncio.CancelledError, KeyboardInterrupt, click.Abort):
        click.echo("ecdsim: interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would try to write the rest once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PASSED
    return outcome if isinstance(outcome, int) else EXIT_PASSED
