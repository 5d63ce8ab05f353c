"""The one family of errors. Each says what is wrong, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a user's file. `line` and `column` count from 1."""

    file: str
    line: int | None = None
    column: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        text = self.file
        if self.line is not None:
            text += f":{self.line}"
            if self.column is not None:
                text += f":{self.column}"
        return text


class SimError(Exception):
    """Anything that ecdsim reports to its user without a traceback.

    `exit_code` is the process's exit status when the error reaches the command line.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class InvalidInput(SimError):
    """A scenario, manifest, profile or argument that can't be used; nothing was started."""

    exit_code = 2

    def __init__(self, message: str, *, where: Location | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.where = where

    def __str__(self) -> str:
        text = super().__str__()
        if self.where is None:
            return text
        key = f"{self.where.key}: " if self.where.key else ""
        return f"{self.where}: {key}{text}"


class EnvironmentProblem(SimError):
    """The machine lacks something: no Envoy, a taken port, a full disk, an unreachable part."""

    exit_code = 3


class PartDied(SimError):
    """A part ended although nobody asked it to. `log_tail` holds its last lines."""

    exit_code = 3

    def __init__(self, part: str, message: str, *, log_tail: str = "", hint: str | None = None) -> None:
        super().__init__(f"{part} died: {message}", hint=hint)
        self.part = part
        self.log_tail = log_tail


class StepFailed(SimError):
    """A step of a scenario could not be carried out, for instance a wait that ran out of time."""

    exit_code = 1

    def __init__(self, message: str, *, where: Location | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.where = where
        #: Which one it was, where steps are within steps: `3.1.2 (wait …), round 2 of 4`.
        self.step: str | None = None
