"""How the command ends: exit codes, and what is said about an error."""

from enum import IntEnum

from yivideo_pipeline.cli.console import open_console, sentences
from yivideo_pipeline.errors.tree import ConfigError, YivideoError


class Exit(IntEnum):
    """Exit codes; 130 is a shell's own for a program that Ctrl-C stopped."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class WrongUsage(YivideoError):
    """The command line asks for what is not there or can't be."""

    kind = "usage"


def exit_code(error: YivideoError) -> Exit:
    """Return the exit code for an error that ends the command."""
    return Exit.USAGE if isinstance(error, WrongUsage | ConfigError) else Exit.FAILED


def complain(text: str) -> None:
    """Say on stderr what stops the command."""
    open_console(stderr=True).print(f"yivideo: {text}")


def complain_of(error: YivideoError) -> None:
    """Say an error and what to do about it; settings have a line for each that is wrong."""
    if isinstance(error, ConfigError):
        for line in error.message.splitlines():
            complain(sentences(line))
        if error.hint:
            complain(sentences(error.hint))
    else:
        complain(sentences(error.message, error.hint))
