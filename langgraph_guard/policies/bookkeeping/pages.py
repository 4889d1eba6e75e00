"""What people read: whose rows a tenant is shown, and where one page ends and the next begins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.bookkeeping.rows import Hold, is_everyones
from langgraph_guard.policies.ledger import Account, OpenHold, Page

Item = TypeVar("Item")


def is_shown(account: Account, tenant: str) -> bool:
    """Whether a survey of `tenant` has `account`: its own do, and everyone's."""
    return account.tenant == tenant or is_everyones(account)


def is_held_by(hold: Hold, tenant: str) -> bool:
    """Whether a reservation is open, and `tenant`'s. One on everyone's accounts alone is everyone's."""
    own = [charge.account for charge in hold.charges if not is_everyones(charge.account)]
    return hold.state == "held" and (not own or any(account.tenant == tenant for account in own))


def open_hold(id: str, hold: Hold, now: float) -> OpenHold:
    return OpenHold(id, hold.charges, hold.granted, hold.deadline, hold.deadline <= now)


def page(found: Sequence[tuple[str, Item]], count: int) -> Page[Item]:
    """The first `count` of what was found, which is one more where there is a next page. Each has its cursor."""
    more = len(found) > count
    return Page(tuple(item for _, item in found[:count]), found[count - 1][0] if more else "")


def cursor(deadline: float, id: str) -> str:
    """The cursor of a page of reservations that ends with this one."""
    return json.dumps([deadline, id])


def place(after: str) -> tuple[float, str]:
    """Behind which deadline and id a page begins. Raises `ConfigError` for what is no cursor."""
    if not after:
        return float("-inf"), ""
    try:
        deadline, id = json.loads(after)
        return float(deadline), str(id)
    except (ValueError, TypeError) as error:
        raise ConfigError("after", "is no cursor of a page before") from error
