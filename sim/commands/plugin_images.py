"""`ecdsim plugin push|pull|ls`: a plugin's way into a registry and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from sim.commands import statuses
from sim.commands.output import output_choice, output_option, reading_may_end, write_data
from sim.commands.plugin_inspect import kilobytes
from sim.commands.plugin_options import RegistryOptions, registry_options
from sim.commands.until_signal import run_async
from sim.errors import EnvironmentProblem, InvalidInput

if TYPE_CHECKING:
    from sim.oci import Image, Reference
    from sim.plugin.examine import Examined
    from sim.plugin.listing import Listed

_FORMATS = ("docker", "oci", "artifact", "guide")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("ref")
@click.option(
    "--format",
    "image_format",
    type=click.Choice(_FORMATS),
    default="docker",
    show_default=True,
    help="docker and oci: a layer with plugin.wasm in it; artifact: the module as it is; guide: as the Higress guide "
    "packs it for oras.",
)
@click.option("--member", metavar="NAME", help="FILE's name in the archive.  [default: plugin.wasm; guide: as it is]")
@click.option("--spec", type=click.Path(path_type=Path), help="The guide format's spec.yaml.")
@click.option("--readme", type=click.Path(path_type=Path), help="The guide format's README.md.")
@output_choice("table", "json", "yaml")
@registry_options
def push(
    file: Path,
    ref: str,
    image_format: str,
    member: str | None,
    spec: Path | None,
    readme: Path | None,
    output: str,
    registry: RegistryOptions,
) -> int:
    """Pack a module FILE and push it to REF, such as 127.0.0.1:5000/plugins/mine:1.0.0; print the digest.

    Nothing that can be pushed is held back; what agent and Envoy will make of it is told on stderr.
    """
    from sim.oci import ImageFormat
    from sim.plugin.packing import Packing, pack

    if member == "":
        raise InvalidInput("--member is empty", hint="give the file's name in the archive, or leave it out")
    known = {name: name for name in get_args(ImageFormat)}
    packing = Packing(known[image_format], member, spec, readme)
    image = pack(file, packing)
    digest, reference = run_async(_push(image, ref, registry))
    with reading_may_end():
        if output == "table":
            click.echo(f"{reference.name}@{digest}")
        else:
            data = {"reference": str(reference), "digest": digest, "format": image_format, "url": reference.url}
            write_data(data, output)
    _warn(file, packing)
    return statuses.PASSED


async def _push(image: Image, ref: str, registry: RegistryOptions) -> tuple[str, Reference]:
    from sim.oci import push as push_image

    reference = _reference(ref)
    if reference.digest is not None:
        raise InvalidInput(f"{ref} names a digest, which the image has already", hint="name it by a tag")
    access = await registry.access(reference.registry)
    user = access.credentials.user or None
    try:
        digest = await push_image(
            image,
            reference,
            access.registry,
            insecure=access.plain,
            user=user,
            password=access.credentials.password,
        )
    except EnvironmentProblem as problem:
        if not _is_refused_connection(problem):
            raise
        raise EnvironmentProblem(
            f"can't push {reference}: nobody listens at {access.registry}",
            hint="start the registry there, such as with ecdsim registry --listen HOST:PORT, or name another",
        ) from problem
    return digest, reference


def _is_refused_connection(error: BaseException | None) -> bool:
    """Whether that is at the bottom of what went wrong."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _warn(file: Path, packing: object) -> None:
    from sim.commands.plugin_inspect import say_problems
    from sim.oci import PLUGIN_FILE
    from sim.plugin.examine import examine_file
    from sim.plugin.packing import Packing, member_name
    from sim.wasm.inspect import Problem

    assert isinstance(packing, Packing)
    name = member_name(file, packing)
    if name is not None and Path(name).name != PLUGIN_FILE:
        say_problems(
            [
                Problem(
                    f"the agent does not load this image: it looks for {PLUGIN_FILE} in an archive that holds {name}",
                    f"push it again with --member {PLUGIN_FILE}",
                )
            ]
        )
    say_problems([problem for problem in examine_file(file).problems if problem.fatal])


@click.command()
@click.argument("ref")
@click.option(
    "-o",
    "--output",
    "wanted",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The module.  [default: NAME.wasm]",
)
@registry_options
def pull(ref: str, wanted: Path | None, registry: RegistryOptions) -> int:
    """Pull the module of REF as the agent does, into FILE.

    A file of that name is overwritten. What the agent would refuse is refused here, for the same reason, with 1; a
    registry that can't be asked is 3.
    """
    from sim.plugin.target import write_file

    reference = _reference(ref)
    examined = run_async(_examine(reference, registry))
    if examined.content is None:
        for problem in examined.problems:
            click.echo(f"the agent refuses it: {problem.what}\n  hint: {problem.hint}", err=True)
        return statuses.FAILED
    path = wanted or Path(f"{reference.repository.rpartition('/')[2]}.wasm")
    overwritten = path.exists()
    write_file(path, examined.content)
    with reading_may_end():
        click.echo(f"{path}  {kilobytes(len(examined.content))}{'  (overwritten)' if overwritten else ''}")
    return statuses.PASSED


async def _examine(reference: Reference, registry: RegistryOptions) -> Examined:
    from sim.plugin.examine import examine_image

    return await examine_image(reference, await registry.access(reference.registry))


@click.command()
@click.argument("where", metavar="REGISTRY[/REPOSITORY]")
@output_option
@registry_options
def ls(where: str, output: str, registry: RegistryOptions) -> int:
    """List what a registry holds: repositories, tags, digests, sizes and formats."""
    from sim.report.columns import Table

    listed = run_async(_list(where, registry))
    with reading_may_end():
        if output == "table":
            click.echo(str(Table(["REPOSITORY", "TAG", "FORMAT", "SIZE", "DIGEST"], _rows(listed))))
        else:
            write_data([item.as_dict() for item in listed], output)
    return statuses.PASSED


async def _list(where: str, registry: RegistryOptions) -> list[Listed]:
    from sim.oci import parse_reference
    from sim.plugin.listing import list_images

    host, slash, repository = where.removeprefix("oci://").rstrip("/").partition("/")
    # Whatever is wrong with either is said in a reference's words.
    checked = parse_reference(f"{host}/{repository if slash else 'any'}")
    if checked.registry != host:
        raise InvalidInput(f"{where} names no registry", hint="write HOST:PORT or HOST:PORT/repository")
    if slash and str(checked) != f"{host}/{repository}:latest":
        raise InvalidInput(f"{where} names an image", hint=f"leave its tag out: ecdsim plugin ls {checked.name}")
    return await list_images(await registry.access(host), repository if slash else None)


def _rows(listed: list[Listed]) -> list[list[str]]:
    rows = []
    for item in listed:
        digest = item.digest or f"({item.problem})"
        rows.append([item.repository, item.tag, item.format or "–", kilobytes(item.size_bytes), digest])
    return rows


def _reference(text: str) -> Reference:
    """A reference that names its registry. Raises InvalidInput."""
    from sim.oci import parse_reference

    host, slash, _ = text.removeprefix("oci://").partition("/")
    if not slash and (":" in host and host.rpartition(":")[2].isdecimal()):
        raise InvalidInput(f"{text} names no repository", hint=f"write {host}/repository:tag")
    if not slash or not ("." in host or ":" in host):
        raise InvalidInput(f"{text} names no registry", hint="write HOST[:PORT]/repository:tag")
    return parse_reference(text)
