"""What can be said to `langgraph-guard replay`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any


def asked(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. Ends in argparse's `SystemExit(2)` for what is wrong."""
    parser = argparse.ArgumentParser(
        "langgraph-guard replay",
        description=(
            "A thread again from one of its steps: in a copy, with recorded tool results. Models are asked anew, and"
            " paid for. The thread itself is never written to."
        ),
    )
    parser.add_argument("graph", metavar="MODULE:GRAPH", help="a compiled graph, or a function that makes one")
    parser.add_argument("--thread", required=True, metavar="T", help="the thread")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--step", type=int, metavar="N", help="begin with the nodes of step N")
    where.add_argument("--failed", action="store_true", help="begin with the newest step that failed")
    parser.add_argument(
        "--set",
        type=_pair,
        action="append",
        default=[],
        metavar="K=V",
        help="first write this into the copy's state: K or K.PART, V as JSON or as text",
    )
    parser.add_argument(
        "--config", type=_pair, action="append", default=[], metavar="K=V", help="into `configurable`: user_id, …"
    )
    parser.add_argument("--live", action="store_true", help="run the tools, with all that they do")
    return parser.parse_args(argv)


def _pair(text: str) -> tuple[str, Any]:
    """`k=v`: the value as JSON, else as text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError("must be K=V")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
