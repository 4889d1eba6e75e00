"""What a gate says at each visit: the turn that is open, what the checkpoint knows was spent, and how things stand."""

from __future__ import annotations

from langgraph_guard.policies.bookkeeping.checks import check_amount
from langgraph_guard.policies.bookkeeping.rows import (
    Rows,
    Writes,
    account_key,
    balance_of,
    find,
    period_of,
    put,
    turn_key,
)
from langgraph_guard.policies.ledger import Balance, EnsureAtLeast, OpenTurn, Read


def open_turn(rows: Rows, command: OpenTurn, now: float) -> tuple[None, Writes]:
    return None, {turn_key(command.tenant, command.session): (command.turn, command.seq)}


def ensure_at_least(rows: Rows, command: EnsureAtLeast, now: float) -> tuple[None, Writes]:
    check_amount("total", command.total)
    history = rows(account_key(command.account)) or ()
    balance = find(history, period_of(command.account, command.turn, now).id)
    if balance.spent >= command.total:
        return None, {}
    return None, {account_key(command.account): put(history, balance._replace(spent=command.total))}


def read(rows: Rows, command: Read, now: float) -> tuple[tuple[Balance, ...], Writes]:
    return tuple(balance_of(rows, account, command.turn, now) for account in command.accounts), {}
