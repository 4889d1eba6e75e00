"""Commands as the scripts' arguments, and what they answer as replies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from langgraph_guard.backends.redis.ledger.keys import (
    Keyspace,
    account_of,
    field_of,
    member,
    owner_name,
    to_text,
    unword,
    word,
)
from langgraph_guard.policies.bookkeeping.rows import find, is_everyones, present_period
from langgraph_guard.policies.ledger import (
    RUN,
    Account,
    Balance,
    Charge,
    Denied,
    OpenHold,
    Owner,
    Reserve,
    owner_of,
)


class Request(NamedTuple):
    """Keys behind the meta key and the leases, and arguments behind the epoch and the moment."""

    keys: list[Any]
    arguments: list[Any]
    names: tuple[str, ...]


class Held(NamedTuple):
    """A reservation as its script tells it."""

    state: bytes
    grants: tuple[int, ...]
    turn: str
    seq: int
    record: bytes

    @property
    def is_open(self) -> bool:
        return self.state == b"held"

    @classmethod
    def of(cls, record: bytes) -> Held:
        state, _, grants, turn, *_ = record.split(b"\n")
        opened, seq = turn[1:].split(b" ")
        return cls(state, tuple(map(int, grants.split())), unword(opened.decode()), int(seq), record)


def id_word(id: str) -> str:
    """The end of a reservation's name among the leases: "owner owner =id"."""
    return f"={word(id)}"


def read_member(member: bytes) -> tuple[list[str], str]:
    """The owners and the id of a reservation among the leases."""
    *owners, id = member.decode().split()
    return owners, unword(id[1:])


# Owners


def tenant_of(owner: Owner | Account) -> str | None:
    """Whose index and whose audit an owner is in; `None` is everyone's."""
    return None if is_everyones(owner) else owner.tenant


def home(keys: Keyspace, owner: Owner) -> tuple[str, str]:
    """The keys of the index that an owner is in, and of those in it that go by themselves."""
    tenant = tenant_of(owner)
    return keys.index(tenant), keys.ends(tenant)


def with_run(owner: Owner | Account) -> str:
    return "1" if owner.scope == RUN else ""


def opened_turn(turn: str, seq: int) -> str:
    return f"={word(turn)} {seq}"


def turn_word(turn: str | None) -> str:
    return "" if turn is None else f"={word(turn)}"


# Reserving

FIRST: Final = ("turn", "till", "frozen")
"""Fields of an owner that a reservation reads before its accounts."""


class Shape(NamedTuple):
    """What reservations on the same accounts have in common, as bytes: a call is packed in half of the time."""

    names: tuple[str, ...]
    joined: bytes
    keys: tuple[bytes, ...]
    session: bytes
    owners: tuple[bytes, ...]
    places: tuple[tuple[bytes, bytes, bytes], ...]


@lru_cache(maxsize=4_096)
def _shape(keys: Keyspace, accounts: tuple[Account, ...]) -> Shape:
    fields: dict[Owner, list[str]] = {}
    places: list[tuple[Owner, int, str]] = []
    for account in accounts:
        owner = owner_of(account)
        its = fields.setdefault(owner, list(FIRST))
        its.append(field_of(account.unit, account.window))
        places.append((owner, len(its), account.window or ""))
    numbers = {owner: b"%d" % number for number, owner in enumerate(fields, 1)}
    homes: dict[tuple[str, str], int] = {}
    owners: list[bytes] = []
    for owner, its in fields.items():
        number = homes.setdefault(home(keys, owner), len(homes) + 1)
        owners += _bytes(number, member(owner), with_run(owner), len(its), *its)
    names = tuple(map(owner_name, fields))
    return Shape(
        names,
        " ".join(names).encode(),
        tuple(_bytes(*map(keys.owner, names), *(key for each in homes for key in each))),
        next((numbers[owner] for owner in fields if owner.scope == "session"), b"0"),
        tuple(owners),
        tuple((numbers[owner], b"%d" % place, window.encode()) for owner, place, window in places),
    )


def _bytes(*words: str | int) -> list[bytes]:
    return [str(word).encode() for word in words]


def reserve(keys: Keyspace, command: Reserve, charges: Sequence[Charge], turn: str | None) -> Request:
    shape = _shape(keys, tuple(charge.account for charge in charges))
    arguments: list[Any] = [
        id_word(command.id),
        fingerprint(charges),
        repr(float(command.lease)),
        command.orphans,
        turn_word(turn),
        shape.session,
        shape.joined,
        to_text([charges, _tenants(command)]),
        len(shape.names),
        *shape.owners,
    ]
    for place, (_, amount, limit, least, _) in zip(shape.places, charges, strict=True):
        limited = b"" if limit is None else b"%d" % limit
        arguments += (*place, b"%d" % amount, b"%d" % (amount if least is None else least), limited)
    return Request([keys.hold(command.id), *shape.keys], arguments, shape.names)


def _tenants(command: Reserve) -> list[str]:
    """Whose a reservation is; one on everyone's accounts alone is everyone's."""
    return sorted({charge.account.tenant for charge in command.charges if not is_everyones(charge.account)})


def fingerprint(charges: Iterable[Charge]) -> str:
    """What makes two reservations the same: their accounts and amounts, not the limits of the day."""
    asked = to_text([(charge.account, charge.amount, charge.at_least) for charge in charges])
    return blake2b(asked.encode(), digest_size=16).hexdigest()


OF_NOTHING: Final = fingerprint(())


def denied(charges: Sequence[Charge], reply: list[Any]) -> Denied:
    number, spent, reserved, period, credit, frozen, wait, turn, seq = reply[1:]
    balance = Balance(int(spent), int(reserved), text(period), int(credit), bool(frozen))
    return Denied(charges[number - 1], balance, float(wait) if wait else None, text(turn), int(seq))


def text(told: bytes) -> str:
    return unword(told.decode())


# Closing


def actual_word(actual: Mapping[str, int]) -> str:
    """What a call cost, as it is compared with what it is said to have cost later."""
    return "&".join(f"{word(unit)}={amount}" for unit, amount in sorted(actual.items()))


def overrun(told: bytes) -> dict[str, int]:
    pairs = (each.decode().split("=") for each in told.split())
    return {unword(unit): int(excess) for unit, excess in pairs}


# Reading


def history(told: bytes | None) -> tuple[Balance, ...]:
    words = iter((told or b"").decode().split())
    return tuple(
        Balance(int(spent), int(reserved), unword(period[1:]), int(credit))
        for period, spent, reserved, credit in zip(words, words, words, words, strict=True)
    )


def balance(fields: Mapping[bytes, bytes | None], account: Account, turn: str | None, now: float) -> Balance:
    """The present balance of an account, from what its owner's hash has."""

    def rows(key: Any) -> tuple[str, int]:
        opened, _, seq = (fields.get(b"turn") or b"= 0")[1:].partition(b" ")
        return text(opened), int(seq)

    field = field_of(account.unit, account.window).encode()
    found = find(history(fields.get(field)), present_period(rows, account, turn, now).id)
    return found._replace(frozen=fields.get(b"frozen") == b"1")


def accounts(owner: Owner, fields: Mapping[bytes, bytes | None]) -> list[Account]:
    """Those that an owner's hash has figures of, in the order of their fields."""
    return [account_of(owner, field) for field in sorted(fields) if b":" in field]


def open_hold(id: str, record: bytes, now: float) -> tuple[OpenHold, list[str]]:
    """A reservation for people to read, and whose it is."""
    told = record.split(b"\n")
    asked, tenants = json.loads(told[8])
    charges = tuple(Charge(Account(*account), *rest) for account, *rest in asked)
    deadline = float(told[4])
    return OpenHold(id, charges, Held.of(record).grants, deadline, deadline <= now), tenants
