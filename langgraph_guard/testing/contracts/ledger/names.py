"""Names: whatever characters a tenant, a scope or an id has, its figures are its own."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.ledger import TURN, Account, Charge, Granted, OpenTurn
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.ledger.harness import TENANT, WAYS, Harness, Way, driven, examples

ODD: Final = (
    "", "a", "A", "a:b", "b", "a:", ":b", "u1|u2", "u1", "{g}", "}{", "*", "?", "[a-z]", "\\", "a,b", "a b", "\n",
    "\0", "ß", "é", "e\u0301", "日本", "🦜", "\u202e", "%3A", "2026-01-01", "none", "None", "'; --", "../", "x" * 300,
)  # fmt: skip
"""Separators, patterns, escapes and look-alikes of key encodings."""

name = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
accounts = st.builds(
    Account,
    tenant=name,
    scope=st.one_of(st.sampled_from(["session", "user", "tenant", "global"]), name),
    id=name,
    unit=st.sampled_from(["usd", "tokens"]),
    window=st.sampled_from([None, "minute", "day"]),
)


class Names(Harness):
    """A key that two names share is one budget for two people, or a way into another tenant's."""

    @examples
    @given(st.lists(accounts, min_size=2, max_size=6, unique=True))
    def test_accounts_of_different_names_never_mix(self, found: list[Account]) -> None:
        """Each is charged a figure of its own and must have exactly that."""
        with driven(self.make_backend(FakeClock(), TENANT).ledger, "execute") as till:
            for number, account in enumerate(found):
                till.reserve(f"r{number}", Charge(account, 2**number))
            assert till.balances(*found) == [(0, 2**number) for number in range(len(found))]

    @examples
    @given(st.lists(name.filter(bool), min_size=2, max_size=6, unique=True))
    def test_reservations_of_different_ids_never_mix(self, ids: list[str]) -> None:
        """Closing one may not close another."""
        account = Account(TENANT, "user", "42", "usd")
        with driven(self.make_backend(FakeClock(), TENANT).ledger, "execute") as till:
            for number, id in enumerate(ids):
                assert till.reserve(id, Charge(account, 2**number)) == Granted(id, (2**number,))
            till.release(ids[0])
            assert till.balance(account) == (0, 2 ** len(ids) - 2)

    @examples
    @given(st.lists(st.tuples(name, name), min_size=2, max_size=6, unique=True), name)
    def test_turns_of_different_sessions_never_mix(self, sessions: list[tuple[str, str]], turn: str) -> None:
        """`a` + `b:c` is not `a:b` + `c`."""
        with driven(self.make_backend(FakeClock(), TENANT).ledger, "execute") as till:
            till.send([OpenTurn(tenant, session, f"{turn}{at}") for at, (tenant, session) in enumerate(sessions)])
            for at, (tenant, session) in enumerate(sessions):
                charge = Charge(Account(tenant, "session", session, "usd", TURN), 1)
                assert till.reserve(f"r{at}", charge) == Granted(f"r{at}", (1,), f"{turn}{at}")

    @pytest.mark.parametrize("way", WAYS)
    def test_every_pair_of_odd_names_is_two_accounts(self, way: Way) -> None:
        """All of them at once: tenant by id."""
        found = [Account(tenant, "user", id, "usd") for tenant, id in product(ODD, ODD)]
        with driven(self.make_backend(FakeClock(), TENANT).ledger, way) as till:
            for number, account in enumerate(found):
                till.reserve(f"r{number}", Charge(account, number))
            assert till.balances(*found) == [(0, number) for number in range(len(found))]
