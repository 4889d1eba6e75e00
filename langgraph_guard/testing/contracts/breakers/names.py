"""Names: whatever characters a tenant, a breaker or a key has, its circuit is its own."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.policies.breaker import FAILURE, Admitted, CircuitKey
from langgraph_guard.testing.clock import FakeClock
from langgraph_guard.testing.contracts.breakers.harness import WAIT, WAYS, Harness, Way, driven, examples

ODD: Final = (
    "", "a", "A", "a:b", "b", "a:", ":b", "u1|u2", "{g}", "}{", "*", "?", "[a-z]", "\\", "a,b", "a b", "\n", "\0",
    "ß", "é", "e\u0301", "日本", "🦜", "\u202e", "%3A", "none", "None", "'; --", "../", "x" * 300,
)  # fmt: skip
"""Separators, patterns, escapes and look-alikes of key encodings."""

name = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
keys = st.builds(CircuitKey, name, name, name)


class Names(Harness):
    """A key that two names share lets one tenant's broken credentials close a tool for another."""

    @examples
    @given(st.lists(keys, min_size=2, max_size=6, unique=True))
    def test_circuits_of_different_names_never_mix(self, found: list[CircuitKey]) -> None:
        """Each counts a number of its own and must have exactly that."""
        with driven(self.make_registry(FakeClock()), "execute") as driver:
            circuits = driver.under(minimum_number_of_calls=1_000)
            for number, key in enumerate(found):
                circuits.call(*[FAILURE] * number, key=key)
            assert [status.failures for status in circuits.statuses(*found)] == list(range(len(found)))

    @pytest.mark.parametrize("way", WAYS)
    def test_every_pair_of_odd_names_is_two_circuits(self, way: Way) -> None:
        """All of them at once: tenant by key, every other one open."""
        found = [CircuitKey(tenant, "breaker", key) for tenant, key in product(ODD, ODD)]
        with driven(self.make_registry(FakeClock()), way) as circuits:
            for key in found[::2]:
                circuits.force_open(key)
            states = [status.state for status in circuits.statuses(*found)]
        assert states[::2] == ["forced_open"] * len(states[::2])
        assert states[1::2] == ["closed"] * len(states[1::2])

    @examples
    @given(st.lists(name.filter(bool), min_size=2, max_size=6, unique=True))
    def test_permits_of_different_ids_never_mix(self, ids: list[str]) -> None:
        """The result of one is not the result of another."""
        clock = FakeClock()
        with driven(self.make_registry(clock), "execute") as driver:
            circuits = driver.under(permitted_number_of_calls_in_half_open_state=2 * len(ids))
            circuits.trip()
            clock.advance(WAIT)
            for id in ids:
                circuits.probe(id)
            for number, id in enumerate(ids[1:], 1):
                circuits.record(id, 2, FAILURE)
                assert circuits.status().failures == number
            assert circuits.admit(ids[0]) == Admitted(2, probe=True)
            circuits.record(ids[0], 2, FAILURE)
            assert circuits.status().state == "open"
