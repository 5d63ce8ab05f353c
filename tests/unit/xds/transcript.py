"""Plays a transcript of one xDS stream, written as text, against the server's half of it.

    == LDS a=1 b=1      the world of a type from now on: its resources and what is in them (each line: a new version)
    == push LDS         a push of these types
    >> LDS a b @n1 v1   a request: names, `@` the nonce it answers, `v` its version, `!` the error of a NACK;
                        in delta `+` subscribes, `-` unsubscribes, `~` is an initial_resource_version
       subscribe: all   what the request meant, and what is to be answered
    << LDS v2 n2: a=1   the next response; in delta `-` is a removed resource, `nothing` when none is due

`played` repeats the `==`, `>>` and `<<` of the text and fills in what really follows, so that a test compares two
texts. Requests are written and responses are read by another protobuf implementation.
"""

from __future__ import annotations

import difflib
import inspect
import itertools
from collections.abc import Collection

from sim.model import SHORT_NAMES, Node
from sim.xds import Answer, Reaction, Resource, ServerStream, Variant
from tests.independent import discovery_message

TYPE_URLS = {short: url for url, short in SHORT_NAMES.items()}


class World:
    """A source whose resources are numbers."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, str]] = {}
        self.revision = 0
        self._nonces = itertools.count(1)

    def set(self, type_url: str, resources: dict[str, str]) -> None:
        self.resources[type_url] = resources
        self.revision += 1

    def answer(self, node: Node, type_url: str, names: Collection[str] | None) -> Answer | None:
        held = self.resources.get(type_url)
        if held is None:
            return None
        chosen = [name for name in sorted(held) if names is None or name in names]
        return Answer(
            type_url, str(self.revision), [Resource(n, type_url, f"{n}={held[n]}".encode(), held[n]) for n in chosen]
        )

    def nonce(self) -> str:
        return f"n{next(self._nonces)}"


def played(variant: Variant, transcript: str) -> str:
    """The transcript as it really went; what is still due at its end is added."""
    world, stream = World(), ServerStream(1, variant)
    lines: list[str] = []
    for line in inspect.cleandoc(transcript).splitlines():
        mark, _, rest = line.partition(" ")
        match mark:
            case "==":
                lines.append(line)
                _change(world, stream, rest.split())
            case ">>":
                reaction = stream.receive(request(variant, rest.split()))
                lines += [line, f"   {_meaning(reaction)}"]
            case "<<":
                lines.append(_response(world, stream) or "<< nothing")
            case "#":
                lines.append(line)
    while (left := _response(world, stream)) is not None:
        lines.append(left)
    return "\n".join(lines)


def assert_transcript(variant: Variant, transcript: str) -> None:
    """As it is written so it goes, or a diff of the two."""
    written, really = inspect.cleandoc(transcript).splitlines(), played(variant, transcript).splitlines()
    if written != really:
        diff = difflib.unified_diff(written, really, "written", "really", lineterm="", n=len(written))
        raise AssertionError("\n" + "\n".join(diff))


def request(variant: Variant, words: list[str]) -> bytes:
    short, *rest = words
    made = discovery_message("DiscoveryRequest" if variant is Variant.SOTW else "DeltaDiscoveryRequest")
    made.type_url = TYPE_URLS.get(short, short)
    for word in rest:
        match word[0], word[1:]:
            case "@", nonce:
                made.response_nonce = nonce
            case "!", error:
                made.error_detail.code, made.error_detail.message = 13, error
            case "+", name:
                made.resource_names_subscribe.append(name)
            case "-", name:
                made.resource_names_unsubscribe.append(name)
            case "~", name:
                made.initial_resource_versions[name] = ""
            case "v", version:
                made.version_info = version
            case _:
                made.resource_names.append(word)
    return bytes(made.SerializeToString())


def _change(world: World, stream: ServerStream, words: list[str]) -> None:
    if words[0] == "push":
        stream.push([TYPE_URLS.get(word, word) for word in words[1:]])
    else:
        world.set(TYPE_URLS.get(words[0], words[0]), dict(word.split("=", 1) for word in words[1:]))


def _meaning(reaction: Reaction) -> str:
    text: str = reaction.kind
    if reaction.error is not None:
        text += f" {reaction.error}"
    if not reaction.answer:
        return text
    return f"{text}: {'all' if reaction.names is None else ' '.join(sorted(reaction.names))}"


def _response(world: World, stream: ServerStream) -> str | None:
    response = stream.respond(world)
    if response is None:
        return None
    if stream.variant is Variant.SOTW:
        sotw = discovery_message("DiscoveryResponse", response.message)
        version, content = sotw.version_info, [item.value.decode() for item in sotw.resources]
        short, nonce = sotw.type_url, sotw.nonce
    else:
        delta = discovery_message("DeltaDiscoveryResponse", response.message)
        version, content = delta.system_version_info, [item.resource.value.decode() for item in delta.resources]
        content += [f"-{name}" for name in delta.removed_resources]
        short, nonce = delta.type_url, delta.nonce
    return " ".join(["<<", SHORT_NAMES.get(short, short), f"v{version}", f"{nonce}:", *content])
