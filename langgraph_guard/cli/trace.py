"""`langgraph-guard trace`: what runs did, as trees, from a step log."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import tree
from langgraph_guard.observability.steps import Step, read
from langgraph_guard.observability.steps.reading import outlines

NOTHING, WRONG = 1, 2
"""Exit codes: there is nothing of that kind; it cannot be meant."""

MOST: Final = 20
"""Traces that are shown when none is asked for."""

WIDTH: Final = 160


def main(argv: Sequence[str], console: Console | None = None) -> int:
    said = _parser().parse_args(argv)
    try:
        found = tree.chains(outlines(said.file, thread=said.thread, trace=said.trace))
        newest = found[-said.last :]
        steps = read(said.file, trace=[each.trace_id for chain in newest for each in chain])
    except ConfigError as error:
        print(f"langgraph-guard trace: {error}", file=sys.stderr)
        return WRONG
    if not steps:
        print(f"langgraph-guard trace: {nothing(said)}", file=sys.stderr)
        return NOTHING
    shown = console or wide()
    if len(found) > said.last:
        shown.print(Text(f"the last {said.last} of {len(found)} traces:", "dim"))
    for each in tree.traces(steps):
        shown.print(tree.drawn(each, quiet=said.quiet, when=True))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "langgraph-guard trace",
        description="Trees of runs, from a step log: durations, tokens, cost, and what guards said.",
    )
    parser.add_argument("file", metavar="FILE", help="a step log: *.db or *.jsonl")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--thread", metavar="T", help="all that was done in one thread")
    which.add_argument("--trace", metavar="ID", help="one trace")
    parser.add_argument("--last", type=count, default=MOST, metavar="N", help=f"the newest N traces ({MOST})")
    parser.add_argument("--quiet", action="store_true", help="leave out nodes in which nothing is to be seen")
    return parser


def nothing(said: argparse.Namespace) -> str:
    """What is not there."""
    thread, trace = said.thread, getattr(said, "trace", None)
    of = f" of thread {tree.plain(thread)!r}" if thread else f" of trace {tree.plain(trace)!r}" if trace else ""
    hint = "" if of else ": was the run given observability.run_config(…)?"
    return f"no steps{of} in the log{hint}"


def wide() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH  # A file has no width, and a line that is cut in two cannot be searched.
    return console


def summary(steps: Sequence[Step]) -> str:
    """What a list of steps comes to, in a line."""
    failed = sum(step.failed for step in steps)
    threads = len({step.thread_id for step in steps if step.thread_id})
    return f"{tree.totals(steps)}, {failed} of them failed, in {threads} thread{'' if threads == 1 else 's'}"


def count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError("must be a number from 1 to 10000")
    return int(text)
