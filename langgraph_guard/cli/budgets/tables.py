"""How a look is shown: tables in a terminal and in a file; nobody's name can move the cursor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from langgraph_guard.cli.budgets.snapshot import Part, Snapshot
from langgraph_guard.errors import show
from langgraph_guard.policies.breaker.commands import AuditRecord, CircuitKey, Status
from langgraph_guard.policies.budget import LEDGER_UNITS
from langgraph_guard.policies.ledger import AccountBalance, Deed, OpenHold, Owner, owner_of

WIDTH: Final = 160


def console() -> Console:
    """Where tables go."""
    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = WIDTH  # A file has no width, and a row that is cut in two cannot be searched.
    return found


def page(seen: Snapshot, top: int) -> RenderableType:
    parts = [_balances(seen.accounts, top), _spenders(seen.accounts), _holds(seen.holds, top), _circuits(seen.circuits)]
    return Group(*(line for part in parts if part is not None for line in (part, Text())))


# What a look has


def _balances(accounts: Part, top: int) -> RenderableType:
    if not accounts.items:
        return Text("no accounts: nothing was ever reserved here")
    table = _table("balances", "owner", "per", ">spent", ">held", ">credit", "")
    ordered = sorted(accounts.items, key=_weight)
    for account, balance in ordered[:top]:
        figures = [show(account.unit, each) for each in (balance.spent, balance.reserved)]
        credit = show(account.unit, balance.credit) if balance.credit else ""
        state = Text("frozen", "bold red") if balance.frozen else Text()
        table.add_row(_owner(owner_of(account)), account.window or "", *figures, credit, state)
    return _with_rest(table, len(ordered) - top, accounts.is_all)


def _spenders(accounts: Part, top: int = 5) -> RenderableType | None:
    """Who spent most, by the largest of their usd accounts: the others are parts of it, or the same seen over a day."""
    most: dict[Owner, int] = {}
    for account, balance in accounts.items:
        if account.unit == "usd" and account.scope not in ("global", "tenant"):
            owner = owner_of(account)
            most[owner] = max(most.get(owner, 0), balance.spent)
    ranked = sorted(((spent, owner) for owner, spent in most.items() if spent), key=lambda each: (-each[0], each[1]))
    if not ranked:
        return None
    table = _table("top spenders", "owner", ">spent")
    for spent, owner in ranked[:top]:
        table.add_row(_owner(owner), show("usd", spent))
    return table


def _holds(holds: Part, top: int) -> RenderableType:
    orphans = sum(hold.orphan for hold in holds.items)
    counted = f"{len(holds.items)}{'' if holds.is_all else ' or more'} open, {orphans} of them past their lease"
    if not holds.items:
        return Text("no open reservations")
    table = _table(f"reservations: {counted}", "id", "until", "of", ">held", "")
    for hold in holds.items[:top]:
        _add_hold(table, hold)
    return _with_rest(table, len(holds.items) - top, holds.is_all)


def _add_hold(table: Table, hold: OpenHold) -> None:
    for at, (charge, granted) in enumerate(zip(hold.charges, hold.granted, strict=True)):
        first = (cell(hold.id), moment(hold.deadline)) if not at else (Text(), "")
        state = Text("orphan", "bold red") if hold.orphan and not at else Text()
        table.add_row(*first, _owner(owner_of(charge.account)), show(charge.account.unit, granted), state)


def _circuits(circuits: Sequence[tuple[CircuitKey, Status]]) -> RenderableType | None:
    if not circuits:
        return None
    table = _table("circuits", "breaker", "key", "state", "since", "why", "next try")
    for key, status in circuits:
        style = "green" if status.state == "closed" else "bold red"
        since = moment(status.since_ms / 1_000) if status.since_ms else ""
        again = moment(status.retry_at_ms / 1_000) if status.retry_at_ms else ""
        state = Text(status.state, style)
        table.add_row(cell(key.breaker), cell(key.key), state, since, status.reason or "", again)
    return table


# What people did


def deeds(found: Iterable[Deed]) -> RenderableType:
    table = _table("what people did", "at", "what", "owner", ">spent", ">credit", "by", "reason")
    for deed in found:
        figures = [show(deed.unit, each) if each else "" for each in (deed.spent, deed.credit)]
        window = f"{deed.action} {deed.window}" if deed.window else deed.action
        table.add_row(moment(deed.at), window, _owner(deed.owner), *figures, cell(deed.by), cell(deed.reason))
    return table if table.rows else Text("nothing was done by hand")


def records(key: CircuitKey, found: Iterable[AuditRecord]) -> RenderableType:
    table = _table(f"circuit {plain(key.breaker)} {plain(key.key)}", "at", "what", "before", "by", "reason")
    for each in found:
        table.add_row(moment(each.at_ms / 1_000), each.action, each.before, cell(each.by), cell(each.reason))
    return table if table.rows else Text(f"nothing was done to circuit {plain(key.breaker)} {plain(key.key)}")


def standing(found: AccountBalance) -> str:
    """One account in a line."""
    account, balance = found
    window = f" per {account.window}" if account.window else ""
    figures = f"{show(account.unit, balance.spent)} spent, {show(account.unit, balance.reserved)} held"
    return f"{plain(_name(owner_of(account)))}{window}: {figures}, {show(account.unit, balance.credit)} credit"


# Cells


def plain(text: str) -> str:
    """`text` on one line, with what is not printable written out: names come from users, and a terminal obeys them."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def cell(text: str) -> Text:
    """As a `Text`, because a `str` may be markup."""
    return Text(plain(text))


def moment(seconds: float) -> str:
    if not math.isfinite(seconds) or not 0 <= seconds < 253_402_300_800:
        return "?"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _name(owner: Owner) -> str:
    return f"{owner.scope}:{owner.id}" if owner.id else owner.scope


def _owner(owner: Owner) -> Text:
    return Text(plain(_name(owner)), no_wrap=True, overflow="ellipsis")


def _weight(found: AccountBalance) -> tuple[Any, ...]:
    """Frozen ones first, then by unit, and the largest first."""
    account, balance = found
    place = LEDGER_UNITS.index(account.unit) if account.unit in LEDGER_UNITS else len(LEDGER_UNITS)
    return not balance.frozen, place, -balance.spent, account[:4], account.window or ""


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.min_width = len(title)  # Otherwise a title that is longer than its rows is broken in two.
    for name in columns:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return table


def _with_rest(table: Table, rest: int, is_all: bool) -> RenderableType:
    if rest <= 0 and is_all:
        return table
    more = "" if is_all else " at least"
    return Group(table, Text(f"and{more} {max(rest, 0)} more", "dim"))
