"""What the options of several commands have in common: their names, helps, and how numbers are read."""

import math
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file")]
PublishUi = Annotated[
    bool,
    typer.Option(
        "--publish-ui", help="Let the UI, which has no login, listen on all interfaces; for containers"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout")]


MAX_PORT = 65_535


def read_number(text: str) -> int:
    """Return a whole number; other text is refused in plain words."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number") from None


def read_port(text: str) -> int:
    """Return the number of a port."""
    port = read_number(text)
    if not 1 <= port <= MAX_PORT:
        raise typer.BadParameter(f"a port is a number from 1 to {MAX_PORT}, not {port}")
    return port


def read_price(text: str) -> float:
    """Return a price, which is not negative."""
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not 0 <= price < math.inf:
        raise typer.BadParameter(f"a price is a number such as 2.5, not {text}")
    return price


UiPort = Annotated[int, typer.Option(parser=read_port, metavar="PORT", help="Port of Dagster's UI")]
ServicePort = Annotated[
    int | None,
    typer.Option(
        parser=read_port, metavar="PORT", help="Port of the service, in place of service.port (8788)"
    ),
]
