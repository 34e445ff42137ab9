"""What `--help` and a wrong option say: words for users, not Python's types."""

import pytest

from tests.cli.command import call

COMMANDS = [
    (),
    ("process",),
    ("up",),
    ("serve",),
    ("doctor",),
    ("backup",),
    ("migrate",),
    ("notify",),
    ("retime",),
    ("compare",),
    ("backfill",),
    ("plan",),
    ("why",),
    ("quarantine",),
    ("quarantine", "release"),
    ("cluster",),
    ("cluster", "up"),
    ("cluster", "status"),
    ("cluster", "down"),
    ("config",),
    ("config", "show"),
    ("config", "validate"),
    ("config", "diff"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_names_no_type_of_python_and_is_cut_nowhere(command):
    usage, _, rest = call({"COLUMNS": "80"}, *command, "--help").stdout.partition("\n")
    assert usage.startswith(" ".join(("Usage: yivideo", *command)))
    assert not any(leak in usage for leak in ("...}", "[["))
    assert not any(leak in rest for leak in ("<", "...", "Path", "range"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("up", "--port", "x"), "Invalid value for '--port': 'x' is no whole number"),
        (("serve", "--port", "0"), "Invalid value for '--port': a port is a number from 1 to 65535, not 0"),
        (
            ("process", "--batch-size", "1.5", "x"),
            "Invalid value for '--batch-size': '1.5' is no whole number",
        ),
    ],
)
def test_a_number_that_is_none_is_refused_in_plain_words(arguments, line):
    refused = call({}, *arguments)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == f"Error: {line}"
