"""How requests, decisions and records look, to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from langgraph_guard.cli.approvals.text import LONGEST, cell, cut, legible, line, value
from langgraph_guard.cli.budgets.tables import moment
from langgraph_guard.policies.approval.chain import Deed
from langgraph_guard.policies.approval.commands import Approval
from langgraph_guard.policies.approval.rules import Requirement


@dataclass(frozen=True)
class Screen:
    """Shows the one thing to people, the other to programs."""

    console: Console
    is_json: bool

    def show(self, data: Any, *shown: RenderableType) -> None:
        if self.is_json:
            print(json.dumps(data, indent=2))
            return
        for each in shown:
            if isinstance(each, str):
                self.console.print(Text(each), soft_wrap=True)
            else:
                self.console.print(each)


# Requests


def listed(found: Sequence[Approval], top: int | None) -> RenderableType:
    if not found:
        return Text("nothing waits for anybody's word")
    table = Table(box=None, pad_edge=False)
    table.add_column("request", no_wrap=True, overflow="ellipsis")  # An id that is broken in two cannot be copied.
    table.add_column("call", overflow="fold")
    for each in found[:top]:
        table.add_row(_brief(each), cell(f"{legible(each.tool)}({line(each.args)})", None))
    if len(found[:top]) < len(found):
        table.caption, table.caption_justify = "and more: --top shows them", "left"
    return table


def _brief(found: Approval) -> Text:
    """Who asks, in lines of their own: in the other column is what a model wrote."""
    until = f"until {moment(found.expires_at)}\n" if found.expires_at is not None else ""
    who = f"asked by {cut(found.requested_by, 20)}, agreed {len(found.votes)} of {found.needed.quorum}"
    return Text(f"{found.id}\nthread {cut(found.thread, 32)}\n{who}\nsince {moment(found.at)}\n{until}")


def request(found: Approval, full: bool = False) -> RenderableType:
    """All of one request. Labels stand in a column of their own, where no argument can reach."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, shown in _facts(found, None if full else LONGEST):
        table.add_row(Text(label), Text(shown))
    return table


def _facts(found: Approval, most: int | None) -> Iterable[tuple[str, str]]:
    yield "id", found.id
    yield "tool", cut(found.tool, most)
    for name, each in json.loads(found.args).items():
        yield "argument", f"{cut(name, 80)} = {value(each, most)}"
    if "\\u" in found.args:
        yield "exactly", cut(found.args, most)  # ASCII alone: letters that look like others are told from them
    yield "digest", found.digest
    yield "state", _state(found)
    if found.edited:
        yield "", "a reviewer replaced the arguments; the digest is of what stands here"
    yield from _told("why", found.reason, most)
    if found.needed.description != found.reason:
        yield from _told("note", found.needed.description, most)
    yield from _told("said", found.message, most)
    yield "thread", cut(found.thread, most)
    yield "asked by", f"{cut(found.requested_by, most)}, {moment(found.at)}"
    if found.expires_at is not None:
        yield "until", moment(found.expires_at)
    yield "needs", _needs(found.needed)
    yield from _told("agreed", ", ".join(vote.by for vote in found.votes), most)


def _told(label: str, text: str, most: int | None) -> Iterable[tuple[str, str]]:
    if text:
        yield label, cut(text, most)


def _state(found: Approval) -> str:
    if found.decided_at is None:
        return found.state
    who = legible(" and ".join(found.decided_by))
    return f"{found.state}{f' by {who}' if who else ''}, {moment(found.decided_at)}"


def _needs(needed: Requirement) -> str:
    people = "1 person" if needed.quorum == 1 else f"{needed.quorum} people"
    named = [*needed.reviewers, *(f"anybody who is {role}" for role in needed.roles)]
    whom = f" of: {legible(', '.join(named))}" if named else ""
    other = ", not whoever asked for it" if needed.separation_of_duties else ""
    return f"{people}{whom}{other}; may {', '.join(needed.allowed_decisions)}"


def as_json(found: Approval) -> dict[str, Any]:
    """For programs. `args` as they are."""
    told = {name: each for name, each in found._asdict().items() if name not in ("requirement", "heard", "votes")}
    needed = found.needed
    wants = {name: getattr(needed, name) for name in ("quorum", "reviewers", "roles", "allowed_decisions")}
    return {
        **told,
        "args": json.loads(found.args),
        "needs": {**wants, "separation_of_duties": needed.separation_of_duties},
        "agreed": [vote.by for vote in found.votes],
    }


# Records


def records(found: Sequence[Deed]) -> RenderableType:
    if not found:
        return Text("nothing is on record")
    table = Table(box=None, pad_edge=False)
    for name in ("number", "at", "what", "of", "by", "detail", "hash"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if name == "number" else "left")
    for deed in found:
        words = (deed.kind, deed.subject, deed.by, deed.detail)
        told = [cell(each, 40) for each in words]
        table.add_row(str(deed.number), moment(deed.at_ms / 1_000), *told, deed.hash[:12])
    return table
