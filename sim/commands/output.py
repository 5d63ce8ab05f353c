"""Data on stdout: JSON or YAML."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from sim.errors import EnvironmentProblem

if TYPE_CHECKING:
    from rich.console import Console


def output_choice(*formats: str) -> Callable[[Any], Any]:
    """The option -o with these formats, the first one the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How the data on stdout is written.",
    )


output_option = output_choice("table", "json", "yaml")


@contextmanager
def reading_may_end() -> Iterator[None]:
    """Around what is written to stdout: whoever reads it may have seen enough; that changes no verdict.

    Raises EnvironmentProblem when it can't be written for another reason, such as a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
    except OSError as error:
        discard_stdout()
        raise EnvironmentProblem(f"can't write to stdout: {error.strerror}", hint="is the disk full?") from error


def stdout_console() -> Console:
    """Rich on stdout, where a reader that left is ours to handle: use it inside `reading_may_end`."""
    from rich.console import Console

    console = Console()
    # Rich would end the process with 1, which is what a failed expectation means.
    console.on_broken_pipe = _reader_left  # type: ignore[method-assign]  # rich's own hook for it
    return console


def _reader_left() -> None:
    raise BrokenPipeError


def discard_stdout() -> None:
    """From now on what is written to stdout goes nowhere."""
    # Python writes what is left in its buffer once more at exit, and would complain there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_data(data: Any, output: str) -> None:
    """Print `data` (JSON-ready) as `yaml`, or else as JSON."""
    if output == "yaml":
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.default_flow_style = False
        yaml.dump(data, sys.stdout)
    else:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
