"""The ledger's figure on the model call that it paid for.

A meter says what a call cost after LangChain said that the call ended, and an ended observation cannot be changed. So
the observation of a metered call stays open until its reservation is closed, or until the node around it ends. A
wrapped model tells the ids of its reservations with the call; where nobody does, the tokens say whose cost it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Paid:
    """What a closed reservation cost. `tokens` is `None` where the provider did not say."""

    reservation: str
    usd: int | None
    tokens: int | None
    held_tokens: int | None

    @property
    def details(self) -> dict[str, Any]:
        """As Langfuse takes them: dollars, and tokens where the answer told none."""
        cost = {} if self.usd is None else {"cost_details": {"total": self.usd / 1_000_000}}
        unsaid = self.tokens is None and self.held_tokens and self.usd
        return {**cost, "usage_details": {"total": self.held_tokens}} if unsaid else cost


class Late:
    """An observation that has ended and is not closed: it takes the place of the one that the handler ends."""

    def __init__(self, observation: Any, reservations: tuple[str, ...] = ()) -> None:
        self.observation = observation
        self.reservations = reservations
        self.tokens: int | None = None
        self.ended_at: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.observation, name)

    def update(self, **said: Any) -> Late:
        usage = said.get("usage_details")
        if isinstance(usage, Mapping):
            self.tokens = usage.get("total", usage.get("total_tokens"))
        self.observation.update(**said)
        return self

    def end(self, **_: Any) -> Late:
        self.ended_at = time.time_ns()
        return self

    def close(self, paid: Paid | None = None) -> None:
        if paid is not None and paid.details:
            self.observation.update(**paid.details)
        self.observation.end(end_time=self.ended_at)


@dataclass(slots=True)
class _Bill:
    """The calls of one node: reserved, paid but not ended, ended but not paid."""

    held: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    paid: list[Paid] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)


class Costs:
    """The bills of the runs under way, by the id of the run that a reservation was made in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bills: dict[UUID, _Bill] = {}

    def reserved(self, run_id: UUID, said: Mapping[str, Any]) -> None:
        with self._lock:
            self._bills.setdefault(run_id, _Bill()).held[said["reservation"]] = said

    def closed(self, run_id: UUID, said: Mapping[str, Any]) -> None:
        """A reservation was settled, or released: then its call cost nothing."""
        with self._lock:
            bill = self._bills.get(run_id)
            held = bill.held.pop(said["reservation"], None) if bill else None
            if bill is None or held is None:
                return
            paid = _paid(said, held)
            late = _match(bill.late, paid)
            if late is None:
                bill.paid.append(paid)
                return
            bill.late.remove(late)
        late.close(paid)

    def bill_of(self, runs: list[UUID]) -> UUID | None:
        """The nearest of `runs` in which a reservation was made."""
        with self._lock:
            return next((run for run in runs if (bill := self._bills.get(run)) and (bill.held or bill.paid)), None)

    def ended(self, run_id: UUID, late: Late) -> None:
        """A call ended: it is closed when it is paid."""
        with self._lock:
            bill = self._bills.setdefault(run_id, _Bill())
            paid = _match_paid(bill, late)
            if paid is None and bill.held:
                bill.late.append(late)
                return
            if paid is not None:
                bill.paid.remove(paid)
        late.close(paid)

    def over(self, run_id: UUID) -> None:
        """The run around the calls ended: nothing is left open."""
        with self._lock:
            bill = self._bills.pop(run_id, None)
        for late in bill.late if bill else ():
            late.close()


def _paid(said: Mapping[str, Any], held: Mapping[str, Any]) -> Paid:
    if "usd" not in said:  # released
        return Paid(said["reservation"], 0, None, None)
    usd = held.get("usd") if said["usd"] is None else said["usd"]
    return Paid(said["reservation"], usd, said.get("tokens"), held.get("tokens"))


def _match_paid(bill: _Bill, late: Late) -> Paid | None:
    """What was paid for the call: by its reservation, else as many tokens, else what is left."""
    if late.reservations:
        return next((paid for paid in bill.paid if paid.reservation in late.reservations), None)
    paid = next((paid for paid in bill.paid if paid.tokens == late.tokens), None)
    return paid or (bill.paid[0] if bill.paid and not bill.held else None)


def _match(late: list[Late], paid: Paid) -> Late | None:
    """The ended call that was paid for: of those that name no reservation the one with as many tokens, else the
    first."""
    named = next((each for each in late if paid.reservation in each.reservations), None)
    unnamed = [each for each in late if not each.reservations]
    return named or next((each for each in unnamed if each.tokens == paid.tokens), unnamed[0] if unnamed else None)
