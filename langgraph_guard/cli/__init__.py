"""The command line: `langgraph-guard demo`, `… budgets`. One module per command, imported when it is called."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

import langgraph_guard

COMMANDS: Final = {
    "demo": "the 2 a.m. incident, unguarded and guarded side by side; no key, no server",
    "approvals": "requests that wait for people: list, show, approve, reject; the log, and whether it is whole",
    "budgets": "balances, reservations and circuits that workers share; freeze, top up, reset",
    "trace": "what runs did, as trees, from a step log",
    "steps": "the rows of a step log: of a thread, of a kind, those that failed",
    "replay": "a thread again from one of its steps, in a copy, with recorded tool results",
}
"""Each command and its line in the help. The module of the same name has `main(argv) -> int`."""

INTERRUPTED: Final = 130
"""What shells expect of a program that Ctrl-C ended."""

CUT_OFF: Final = 1
"""The reader had read enough, `… | head`; what rich ends with as well."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Wrong arguments end in argparse's `SystemExit(2)`."""
    _write_what_can_be_written()
    asked, rest = _parser().parse_known_args(argv)
    command = import_module(f"langgraph_guard.cli.{asked.command}")
    try:
        code: int = command.main(rest)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _say_nothing_more()
        return CUT_OFF
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("langgraph-guard", description="Guards for LangGraph agents.")
    parser.add_argument("--version", action="version", version=f"langgraph-guard-pack {langgraph_guard.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, line in COMMANDS.items():
        commands.add_parser(name, help=line, add_help=False)  # The command's own parser reads the rest, help included.
    return parser


def _write_what_can_be_written() -> None:
    """A terminal without a character shows `?` for it; it does not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _say_nothing_more() -> None:
    """Python flushes what it still has when it ends, into a pipe that nobody reads."""
    with suppress(OSError, ValueError):  # in a test or a notebook there may be no file below it
        said = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, said)
        os.close(nowhere)
