"""What people read of a ledger in a dict, in pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from heapq import nsmallest
from typing import Any, Final

from langgraph_guard.policies.bookkeeping import Hold, pages
from langgraph_guard.policies.bookkeeping.checks import check_count
from langgraph_guard.policies.bookkeeping.rows import balance_of
from langgraph_guard.policies.ledger import Account, AccountBalance, Holds, OpenHold, Page, Survey

name: Final = json.JSONEncoder(separators=(",", ":")).encode


def survey(rows: Mapping[Any, Any], command: Survey, now: float) -> Page[AccountBalance]:
    check_count(command.count)
    shown = (key for key in rows if isinstance(key, Account) and pages.is_shown(key, command.tenant))
    named = ((name(account), account) for account in shown)
    found = nsmallest(command.count + 1, (each for each in named if each[0] > command.after))
    told = [(cursor, AccountBalance(of, balance_of(rows.get, of, None, now))) for cursor, of in found]
    return pages.page(told, command.count)


def holds(rows: Mapping[Any, Any], command: Holds, now: float) -> Page[OpenHold]:
    check_count(command.count)
    behind = pages.place(command.after)
    theirs = (
        (row.deadline, key[1])
        for key, row in rows.items()
        if isinstance(row, Hold) and pages.is_held_by(row, command.tenant)
    )
    found = nsmallest(command.count + 1, (place for place in theirs if place > behind))
    told = [(pages.cursor(*place), pages.open_hold(place[1], rows["hold", place[1]], now)) for place in found]
    return pages.page(told, command.count)
