"""A command that failed, and the exit code that says how."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the commands exit with; `deliver` has its own table."""

    DONE = 0
    FAILED = 1
    """The thing asked about failed."""
    WRONG = 2
    """Wrong usage, settings, or an internal error."""


class CommandFailed(Exception):
    """Ends a command with an `error:` line, a `hint:` line and a code."""

    def __init__(self, text: str, *, hint: str | None = None, code: int = ExitCode.FAILED) -> None:
        super().__init__(text)
        self.hint = hint
        self.code = code
