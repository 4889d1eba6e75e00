"""Every claim is measured by something that runs. How fast is `make bench`'s business: a test machine is too noisy."""

from __future__ import annotations

import sys

import pytest

from benchmarks import __main__ as bench
from benchmarks.measure import Timing

SLOW = {"imports": pytest.mark.slow}
"""Starts a Python for each measurement."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in bench.CLAIMS])
def test_a_benchmark_runs_in_a_tiny_size_and_fills_its_rows(name: str) -> None:
    """A claim whose benchmark broke with the code would be a claim that nobody checks."""
    rows = list(bench.CLAIMS[name].rows(rounds=1))
    assert rows
    assert all(row.claim.startswith(f"{name}: ") and row.ours and row.peer and row.ratio > 0 for row in rows)


def test_one_benchmark_can_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Who tunes the ledger does not want to wait for the imports."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", "fused"])
    bench.main()
    printed = capsys.readouterr().out
    assert "fused: " in printed
    assert "ledger: " not in printed


def test_a_benchmark_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error must not look like a benchmark without rows."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", "legder"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "legder" in capsys.readouterr().err


def test_a_claim_holds_only_below_its_goal() -> None:
    """The last column is what a reader believes."""
    timing = Timing(ours=300e-6, peer=200e-6)
    assert timing.adds_less_than(101e-6, "x").holds is True
    assert timing.adds_less_than(99e-6, "x").holds is False
