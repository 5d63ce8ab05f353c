"""What Envoy's log tells of Wasm, put into the trace: which plugin is compiled, which worker has it, who said what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sim.envoy.log import MESSAGE_CHARACTERS, LogLine, WasmLogLevel
from sim.trace import Trace
from sim.trace.plugin_words import own_words

#: So many of the plugins' words below `info` become events, each second; the rest is in envoy.log alone.
DETAILS_PER_S = 200
#: So many different words are remembered of what a plugin said while it was configured.
_WORDS_PER_PLUGIN = 50

#: Said of a module that can't be used, also where the plugin fails open and nothing is refused.
_FAILED_TO_LOAD = re.compile(r"Plugin \S+ failed to load")

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
_PROBLEMS = ("warning", "error", "critical")


@dataclass(slots=True)
class _Compiled:
    number: int
    plugin: str | None


@dataclass(slots=True)
class WasmStory:
    """Takes the messages of one Envoy process in the order of its log.

    Envoy says which filter's configuration its main thread takes up, then compiles, configures, and has done with it,
    one after the other. So what the main thread says in between is about that plugin, and each worker takes modules
    in the order in which they were compiled, but for those that were refused.
    """

    trace: Trace
    level: WasmLogLevel = "info"
    #: The plugin whose configuration the main thread has in hand.
    _in_hand: str | None = None
    #: By the plugin's name in Envoy, `namespace.name`: each that Envoy ever had, as `namespace/name`.
    _plugins: dict[str, str] = field(default_factory=dict)
    #: By the plugin: what it said, on the main thread, when it was last configured.
    _words: dict[str, set[str]] = field(default_factory=dict)
    _compiled: list[_Compiled] = field(default_factory=list)
    _compilations: int = 0
    #: How many modules had been compiled when that configuration was taken up.
    _compiled_before: int = 0
    #: By the worker: how many of those compiled it has taken.
    _taken: dict[int, int] = field(default_factory=dict)
    _second: int = 0
    _details: int = 0
    _left_out: int = 0

    def may_go_on(self, line: LogLine) -> bool:
        """Whether the message becomes an `envoy.log`, so that its further lines are wanted."""
        return not (line.base_created or line.thread_local_created) and self._is_event(line)

    def take(self, line: LogLine, worker: int | None, t_ns: int) -> None:
        """Emit the event that the message is, if it is one. `worker` is None on Envoy's main thread."""
        taken_up = line.filter_config
        if taken_up is not None:
            self._turn(*taken_up)
        elif line.base_created:
            self._compilations += 1
            self._compiled.append(_Compiled(self._compilations, self._in_hand))
            self.trace.emit(
                "envoy.compile",
                t_ns=t_ns,
                plugin=self._in_hand,
                module=self._compilations,
                active_vms=line.active_vms,
            )
        elif line.thread_local_created:
            if worker is not None:
                self._worker_ready(line, worker, t_ns)
        elif self._is_event(line) and self._has_room(line):
            self._said(line, worker, t_ns)

    def _said(self, line: LogLine, worker: int | None, t_ns: int) -> None:
        if worker is None and self._in_hand is not None and _FAILED_TO_LOAD.match(line.text):
            self._refused()
        left_out, self._left_out = self._left_out or None, 0
        text = line.text if len(line.text) <= MESSAGE_CHARACTERS else f"{line.text[: MESSAGE_CHARACTERS - 1]}…"
        of_wasm = line.component == "wasm"
        self.trace.emit(
            "envoy.log",
            t_ns=t_ns,
            plugin=self._whose(line.text, worker) if of_wasm else self._mentioned(line.text),
            level=line.level,
            worker=worker if of_wasm else None,
            component=None if of_wasm else line.component,
            text=text,
            left_out=left_out,
        )

    def _turn(self, filter_name: str, what: str) -> None:
        # Istio puts the kind of the resource before it.
        name = filter_name.rpartition("/")[2]
        namespace, dot, rest = name.partition(".")
        plugin = f"{namespace}/{rest}" if dot else name
        if what == "taken up":
            self._in_hand = plugin
            self._plugins[name] = plugin
            self._words[plugin] = set()
            self._compiled_before = len(self._compiled)
            return
        if what == "failed":
            self._refused()
        self._in_hand = None

    def _refused(self) -> None:
        """What was just compiled reaches no worker."""
        del self._compiled[self._compiled_before :]

    def _worker_ready(self, line: LogLine, worker: int, t_ns: int) -> None:
        taken = self._taken.get(worker, 0)
        compiled = self._compiled[taken] if taken < len(self._compiled) else None
        if compiled is not None:
            self._taken[worker] = taken + 1
        self.trace.emit(
            "envoy.worker_ready",
            t_ns=t_ns,
            plugin=compiled.plugin if compiled is not None else None,
            worker=worker,
            module=compiled.number if compiled is not None else None,
            active_vms=line.active_vms,
        )

    def _is_event(self, line: LogLine) -> bool:
        if line.component != "wasm":
            return line.level in _PROBLEMS
        if line.level not in _LEVELS:
            return False
        wanted = _LEVELS.index(line.level) >= _LEVELS.index(self.level)
        # Below `info` Envoy tells of every call; a plugin's own words are few.
        return wanted and (_is_no_detail(line) or own_words(line.text) is not None)

    def _has_room(self, line: LogLine) -> bool:
        if _is_no_detail(line):
            return True
        second = line.wall_ns // 1_000_000_000
        if second != self._second:
            self._second, self._details = second, 0
        self._details += 1
        if self._details > DETAILS_PER_S:
            self._left_out += 1
            return False
        return True

    def _whose(self, text: str, worker: int | None) -> str | None:
        """`namespace/name` of the plugin that a message about Wasm is of, None where that can't be told."""
        said = own_words(text)
        named = self._plugins.get(said[0] or "") if said is not None else self._mentioned(text)
        if named is not None:
            return named
        if worker is None and self._in_hand is not None:
            words = self._words[self._in_hand]
            if len(words) < _WORDS_PER_PLUGIN:
                words.add(text)
            return self._in_hand
        if len(self._plugins) == 1:
            return next(iter(self._plugins.values()))
        # Each worker configures the plugin again, and has it say the same once more.
        sayers = [plugin for plugin, words in self._words.items() if text in words]
        latest = self._latest(worker)
        return latest if latest in sayers else sayers[0] if len(sayers) == 1 else None

    def _latest(self, worker: int | None) -> str | None:
        """The plugin whose module the worker took last."""
        taken = self._taken.get(worker, 0) if worker is not None else 0
        return self._compiled[taken - 1].plugin if taken else None

    def _mentioned(self, text: str) -> str | None:
        words = re.findall(r"[\w.-]+", text)
        return next((self._plugins[word] for word in words if word in self._plugins), None)


def _is_no_detail(line: LogLine) -> bool:
    return line.level not in ("trace", "debug")
