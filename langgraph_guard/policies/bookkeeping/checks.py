"""What a ledger refuses before it writes: an `InvalidAmount` or a `ConfigError` that names the field."""

from __future__ import annotations

from typing import Final

from langgraph_guard.errors import ConfigError, InvalidAmount
from langgraph_guard.policies.ledger import MAX_AMOUNT, Adjust, Freeze, Reserve, Thaw

LONGEST_NAME: Final = 200
"""Characters of `by`."""

LONGEST_REASON: Final = 1_000
"""Characters of `reason`."""

LARGEST_PAGE: Final = 10_000
"""Items that one page may have."""


def is_amount(amount: object) -> bool:
    return type(amount) is int and 0 <= amount <= MAX_AMOUNT


def check_amount(field: str, amount: object) -> None:
    """Refuse what is no exact amount: `InvalidAmount` names the field and the kind of the value."""
    _check_int(field, amount)
    if not is_amount(amount):
        problem = "negative" if amount < 0 else "larger"  # type: ignore[operator]  # an int, since the line above
        raise InvalidAmount(field, f"must be between 0 and 2^53-1, is {problem}")


def check_lease(lease: float) -> None:
    if isinstance(lease, bool) or not isinstance(lease, int | float) or not 0 < lease < float("inf"):
        raise InvalidAmount("lease", "must be longer than 0 seconds, and finite")


def check_reserve(command: Reserve) -> None:
    check_lease(command.lease)
    seen = set()
    for charge in command.charges:
        least = charge.amount if charge.at_least is None else charge.at_least
        if not (is_amount(charge.amount) and is_amount(least)):
            check_amount(f"{charge.account.unit} amount", charge.amount)
            check_amount(f"{charge.account.unit} at_least", least)
        if charge.account in seen:
            raise InvalidAmount(f"{charge.account.unit} per {charge.account.scope}", "is charged twice at once")
        seen.add(charge.account)


def check_adjust(command: Adjust) -> None:
    check_note(command)
    for field, amount in (("spent", command.spent), ("credit", command.credit)):
        _check_int(field, amount)
        if abs(amount) > MAX_AMOUNT:
            raise InvalidAmount(field, "must be between -(2^53-1) and 2^53-1")


def check_note(command: Adjust | Freeze | Thaw) -> None:
    """Who does it, and why: somebody, and within bounds."""
    for field, text, least, most in (
        ("by", command.by, 1, LONGEST_NAME),
        ("reason", command.reason, 0, LONGEST_REASON),
    ):
        if not isinstance(text, str):
            raise ConfigError(field, f"must be a str, is a {type(text).__name__}")
        if not least <= len(text) <= most:
            raise ConfigError(field, f"must have {least} to {most} characters, has {len(text)}")


def check_count(count: object) -> None:
    if type(count) is not int or not 1 <= count <= LARGEST_PAGE:
        raise InvalidAmount("count", f"must be an int from 1 to {LARGEST_PAGE}")


def _check_int(field: str, amount: object) -> None:
    if type(amount) is not int:
        raise InvalidAmount(field, f"must be an int, is a {type(amount).__name__}")
