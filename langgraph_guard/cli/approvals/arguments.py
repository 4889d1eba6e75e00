"""What can be said to `langgraph-guard approvals`."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from langgraph_guard.cli.budgets.arguments import DEFAULTS as WHERE
from langgraph_guard.cli.budgets.arguments import URL, place
from langgraph_guard.policies.approval.chain import Head

PLACE: Final = ("url", "sqlite", "tenant", "prefix", "slots", "json")

SEEN: Final = 12
"""Digits of a digest that say which action somebody saw. With fewer, another one could be made that begins alike."""

_HEAD: Final = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


def asked(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. Ends in argparse's `SystemExit(2)` for what is wrong."""
    parser = _parser()
    said = parser.parse_args(argv, argparse.Namespace(**{name: WHERE[name] for name in PLACE}))
    if said.url is None and said.sqlite is None:
        said.url = os.environ.get(URL)
    if (said.url is None) == (said.sqlite is None):
        parser.error(f"say where the desk is: --url redis://… (or {URL}), or --sqlite FILE")
    if "by" in said and not said.by:
        parser.error("say who decides: --by NAME")
    if said.deed == "respond" and not said.message:
        parser.error("say what is answered in the place of the tool: --message TEXT")
    return said


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "langgraph-guard approvals",
        parents=[place()],
        description="What waits for people's word, and to give it. Who can reach the desk may say who they are:"
        " guard its file or server as you would the decisions.",
    )
    deeds = parser.add_subparsers(dest="deed", required=True, metavar="deed", title="deeds")
    _add_looks(deeds)
    for name, text in {"approve": "let it run as it stands", "edit": "let it run with other arguments"}.items():
        _add_run(_add_digest(_decision(deeds, name, text)))
    for name, text in {"reject": "it must not run", "respond": "answer in the place of the tool"}.items():
        _add_run(_decision(deeds, name, text))
    deeds.choices["edit"].add_argument(
        "--args", required=True, type=_args, metavar="JSON", help="all arguments that it is to run with, or @FILE"
    )
    _add_run(_add_id(_deed(deeds, "resume", "go on with a run whose request was decided")), required=True)
    _add_run(_deed(deeds, "sweep", "close requests whose time is over; with --graph, their runs go on"))
    _add_doubts(deeds)
    return parser


def _add_looks(deeds: Any) -> None:
    listing = _deed(deeds, "list", "requests that wait, oldest first")
    listing.add_argument("--thread", help="of this thread alone")
    listing.add_argument("--top", type=_count, metavar="N", help="rows (50; with --json all)")
    shown = _add_id(_deed(deeds, "show", "one request: all that is to be known before one decides"))
    shown.add_argument("--full", action="store_true", help="long arguments whole")
    log = _deed(deeds, "log", "what was asked, decided and executed")
    log.add_argument("--after", type=int, default=0, metavar="N", help="records behind number N")
    log.add_argument("--top", type=_count, default=200, metavar="N", help="rows, the newest (200)")
    verifies = _deed(deeds, "verify", "whether the log is whole: nothing altered, left out or put in")
    verifies.add_argument(
        "--head", type=_head, metavar="N:HASH", help="which an earlier verify printed, and this log must contain"
    )


def _add_doubts(deeds: Any) -> None:
    _deed(deeds, "doubts", "executions that began, and nobody knows how they ended")
    resolve = _signed(_deed(deeds, "resolve", "say how one of them ended"))
    resolve.add_argument("id", metavar="key", help="as `doubts` shows it, whole; or the id of its request")
    resolve.add_argument("--reason", default="", help="how you know; it stands in the log")
    ends = resolve.add_mutually_exclusive_group(required=True)
    ends.add_argument("--happened", nargs="?", const="", metavar="RESULT", help="it took effect; what the tool says")
    ends.add_argument("--not-happened", action="store_true", help="it did not, and may be done again")


def _deed(deeds: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = deeds.add_parser(name, parents=[place()], help=text, description=text)
    return parser


def _decision(deeds: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser = _signed(_add_id(_deed(deeds, name, text)))
    parser.add_argument(
        "--roles", type=_roles, default=(), metavar="A,B", help="what you are, where a rule asks for it"
    )
    parser.add_argument("--message", default="", help="for the model, or the record")
    return parser


def _signed(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--by", default=_login(), metavar="NAME", help="who decides (your login name)")
    return parser


def _add_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", help="of the request, or its first 8 letters or more")
    return parser


def _add_digest(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--digest", type=_digest, help="of the action that you saw, as `show` has it; you are not asked again"
    )
    parser.add_argument("--yes", action="store_true", help="whatever stands there: you are not asked")
    return parser


def _add_run(parser: argparse.ArgumentParser, required: bool = False) -> argparse.ArgumentParser:
    parser.add_argument(
        "--graph",
        required=required,
        metavar="MODULE:NAME",
        help="the compiled graph, or what makes it: its run goes on",
    )
    parser.add_argument("--async", dest="is_async", action="store_true", help="by ainvoke")
    parser.add_argument(
        "--set",
        type=_pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="for the run's `configurable`; user_id is who asked for the call",
    )
    return parser


# What words mean


def _login() -> str:
    with suppress(OSError, KeyError, ImportError):  # a container's user may have no name
        return getpass.getuser()
    return ""


def _roles(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _digest(text: str) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{SEEN},64}}", text):
        raise argparse.ArgumentTypeError(f"must be the first {SEEN} hex digits of the digest, or more")
    return text


def _head(text: str) -> Head:
    if (found := _HEAD.fullmatch(text)) is None:
        raise argparse.ArgumentTypeError("must be like 42:9f86…, a number and 64 hex digits")
    return Head(int(found[1]), found[2])


def _args(text: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text)
    except (ValueError, RecursionError):
        raise argparse.ArgumentTypeError("must be JSON") from None
    except OSError:
        raise argparse.ArgumentTypeError("names a file that cannot be read") from None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return found


def _pair(text: str) -> tuple[str, str]:
    key, equals, found = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError("must be like user_id=42")
    return key, found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError("must be a number from 1 to 10000")
    return int(text)
