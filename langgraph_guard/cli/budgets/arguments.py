"""What can be said to `langgraph-guard budgets`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from langgraph_guard.policies.budget import LEDGER_UNITS
from langgraph_guard.policies.ledger import TURN
from langgraph_guard.policies.windows import WINDOWS

URL: Final = "LANGGRAPH_GUARD_REDIS_URL"
"""The environment variable that has the URL, so that a password need not stand on the command line."""

DEFAULTS: Final[dict[str, Any]] = {
    "url": None,
    "sqlite": None,
    "tenant": "",
    "prefix": "lgg",
    "slots": "one",
    "json": False,
    "watch": False,
    "every": 2.0,
    "top": 20,
    "circuit": [],
    "deed": None,
}


def asked(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. Ends in argparse's `SystemExit(2)` for what is wrong."""
    parser = _parser()
    said = parser.parse_args(argv, argparse.Namespace(**{**DEFAULTS, "circuit": []}))
    if said.url is None and said.sqlite is None:
        said.url = os.environ.get(URL)
    if (said.url is None) == (said.sqlite is None):
        parser.error(f"say where the accounts are: --url redis://… (or {URL}), or --sqlite FILE")
    if said.watch and (said.json or said.deed is not None):
        parser.error("--watch shows tables, until Ctrl-C")
    return said


def _parser() -> argparse.ArgumentParser:
    where = place()
    parser = argparse.ArgumentParser(
        "langgraph-guard budgets",
        parents=[where],
        description="Balances, open reservations and circuits that workers share. Who changes something says who.",
    )
    parser.add_argument("--watch", action="store_true", help="look again and again, until Ctrl-C")
    parser.add_argument("--every", type=_seconds, metavar="SECONDS", help="between two looks (2)")
    parser.add_argument("--top", type=_count, metavar="N", help="rows of each table (20)")
    _add_circuit(parser)
    deeds = parser.add_subparsers(dest="deed", metavar="deed", title="deeds")
    for name, line in {"freeze": "refuse every call on an owner's accounts", "thaw": "undo freeze"}.items():
        _add_owner(_signed(deeds, where, name, line))
    for name, line in {"top-up": "more room in the present period", "adjust": "correct what was spent"}.items():
        _add_amount(_signed(deeds, where, name, line))
    for name, line in {"force-open": "no call until a reset", "reset": "close a circuit"}.items():
        _add_key(_signed(deeds, where, name, line))
    _signed(deeds, where, "reopen", "go on from what there is, after a server forgot its books")
    audit = deeds.add_parser("audit", parents=[where], help="what people did")
    _add_circuit(audit)
    return parser


def place() -> argparse.ArgumentParser:
    """What every command understands, before its name and after it."""
    where = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where.add_argument("--url", help=f"redis://, rediss:// or unix://; {URL} says it, too")
    where.add_argument("--sqlite", metavar="FILE", help="the file of a SqliteBackend")
    where.add_argument("--tenant", help="whose accounts (those of the backend without a tenant)")
    where.add_argument("--prefix", help="what keys begin with (lgg)")
    where.add_argument("--slots", choices=("one", "tenant"), help="as the workers' RedisBackend says (one)")
    where.add_argument("--json", action="store_true", help="for programs; amounts in whole units")
    return where


def _signed(deeds: Any, where: argparse.ArgumentParser, name: str, line: str) -> argparse.ArgumentParser:
    """A deed: somebody does it, and may say why."""
    parser: argparse.ArgumentParser = deeds.add_parser(name, parents=[where], help=line, description=line)
    parser.add_argument("--by", required=True, metavar="NAME", help="who does it, for the record")
    parser.add_argument("--reason", default="", help="why, for the record")
    return parser


def _add_owner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("owner", help="user:42, session:…, tenant, global")


def _add_amount(parser: argparse.ArgumentParser) -> None:
    _add_owner(parser)
    parser.add_argument("unit", choices=LEDGER_UNITS)
    parser.add_argument("amount", type=_amount, help="in the unit, usd as 2.50; a negative one takes away")
    parser.add_argument("--window", choices=(*WINDOWS, TURN), help="of the limit; without, an account for good")
    parser.add_argument("--id", help="the same id is done once: for scripts that try again")


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("breaker", help="its name")
    parser.add_argument("key", help="the tool, host or model")


def _add_circuit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--circuit",
        nargs=2,
        action="append",
        default=argparse.SUPPRESS,
        metavar=("BREAKER", "KEY"),
        help="a circuit to look at; may be repeated",
    )


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError("must be a number") from None
    if not amount.is_finite() or not amount:
        raise argparse.ArgumentTypeError("must be a finite number, and not 0")
    return amount


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be a number of seconds from 0.1 to 86400")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError("must be a number from 1 to 10000")
    return int(text)
