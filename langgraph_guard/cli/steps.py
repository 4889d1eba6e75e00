"""`langgraph-guard steps`: the rows of a step log, and what they come to.

Whoever wants more asks the file with SQL: its table stands in `langgraph_guard/observability/steps/store.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_guard.cli.trace import NOTHING, WRONG, count, nothing, summary, wide
from langgraph_guard.errors import ConfigError
from langgraph_guard.observability import tree
from langgraph_guard.observability.steps import Step, read
from langgraph_guard.observability.steps.step import KINDS
from langgraph_guard.observability.words import moment

MOST: Final = 500
"""Rows that are shown when none are asked for."""

COLUMNS: Final = ("when", "thread", "step", ">ms", ">tokens", ">cost", "status", "what")


def main(argv: Sequence[str], console: Console | None = None) -> int:
    said = _parser().parse_args(argv)
    most = said.last or (None if said.json else MOST)
    one_more = None if most is None else most + 1  # or nobody knows that there are more
    try:
        found = read(said.file, thread=said.thread, kind=said.kind, failed=said.failed, last=one_more)
        if not found and not read(said.file, thread=said.thread, last=1):
            print(f"langgraph-guard steps: {nothing(said)}", file=sys.stderr)
            return NOTHING
    except ConfigError as error:
        print(f"langgraph-guard steps: {error}", file=sys.stderr)
        return WRONG
    newest = found[-most:] if most else found
    if said.json:
        print(json.dumps([step.as_dict() for step in newest], indent=2))  # ASCII: nothing in it can move a cursor.
        return 0
    shown = console or wide()
    if len(newest) < len(found):
        shown.print(Text(f"the last {len(newest)}, and there are more: --last N, --thread, --kind, --failed", "dim"))
    if newest:
        shown.print(table(newest))
    shown.print(Text(summary(newest)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("langgraph-guard steps", description="The steps of a log, one per row.")
    parser.add_argument("file", metavar="FILE", help="a step log: *.db or *.jsonl")
    parser.add_argument("--thread", metavar="T", help="of one thread")
    parser.add_argument("--failed", action="store_true", help="what raised, what a guard refused, circuits that opened")
    parser.add_argument("--kind", choices=KINDS, help="of one kind")
    parser.add_argument("--last", type=count, metavar="N", help=f"the newest N rows ({MOST}; with --json all)")
    parser.add_argument("--json", action="store_true", help="for programs; money in micro-USD")
    return parser


def table(steps: Sequence[Step]) -> Table:
    rows = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        rows.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    for step in steps:
        rows.add_row(*cells(step))
    return rows


def cells(step: Step) -> list[Text]:
    """As `Text`s, because a `str` may be markup."""
    ms = "" if step.duration_ms is None else f"{step.duration_ms:,.1f}"
    cost = "" if step.cost_micro_usd is None else tree.money(step.cost_micro_usd)
    figures = ms, f"{step.tokens:,}" if step.tokens else "", cost
    style = tree.MARKS.get(step.status, ("?", "white"))[1]
    texts = (moment(step.ts), tree.plain(step.thread_id or ""), tree.name_of(step), *figures)
    return [*map(Text, texts), Text(step.status, style), Text(what(step))]


def what(step: Step) -> str:
    """Why it failed, what a guard said, or else what it was asked for."""
    if step.error or step.error_type:
        return tree.clipped(": ".join(tree.plain(each) for each in (step.error_type, step.error) if each))
    if step.kind in ("guard", "feedback"):
        return tree.clipped(", ".join(tree.said_of(step)))
    return tree.clipped(tree.plain(step.args or ""))
