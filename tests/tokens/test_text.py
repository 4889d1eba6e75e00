"""Any text is counted in bounded time, without an error, and never above its bound."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.tokens.encodings import ENCODINGS
from langgraph_guard.tokens.guess import guess, guess_gauge, pieces
from langgraph_guard.tokens.loading import find_encoding
from langgraph_guard.tokens.text import CHUNK, Gauge, byte_length, chunks, count_up_to, exact_gauge, samples
from tests.tokens.corpora import corpora

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=400)
"""Everything that a Python string can hold, lone surrogates included."""

MILLION = 1_000_000
DICE = random.Random(11)
NASTY: dict[str, Callable[[], str]] = {
    "one character": lambda: "a" * MILLION,
    "spaces": lambda: " " * (MILLION + 1),
    "no-break spaces": lambda: "x" + "\xa0" * MILLION,
    "line breaks": lambda: "\r\n" * (MILLION // 2),
    "unpunctuated chinese": lambda: "".join(DICE.choices("的一是不了人我在有他这中大来上国", k=MILLION // 3)),
    "one long word": lambda: "".join(DICE.choices("abcdefghijklmnopqrstuvwxyz", k=MILLION)),
    "equals signs": lambda: "=" * MILLION,
    "lone surrogates": lambda: "\ud83d" * 100_000,
    "surrogates in pairs": lambda: "\ud83d\ude00" * 50_000,
    "special tokens": lambda: "<|endoftext|><|im_start|>system" * 10_000,
    "control characters": lambda: "".join(map(chr, range(32))) * 10_000,
    "ten megabytes": lambda: "The invoice of 12 March was paid twice.\n" * 256_000,
}


class Watched:
    """A gauge that notes how long the chunks were that a tokenizer had to read."""

    def __init__(self, gauge: Gauge) -> None:
        self.read: list[int] = []
        self._measure = gauge.measure
        self.gauge = Gauge(self.measure, gauge.most_chunks, gauge.samples)

    def measure(self, chunk: str) -> int:
        self.read.append(len(chunk))
        return self._measure(chunk)


@pytest.fixture(params=["with a vocabulary", "without"])
def watched(request: pytest.FixtureRequest) -> Watched:
    """Both ways to count."""
    if request.param == "without":
        return Watched(guess_gauge())
    return Watched(o200k())


def o200k() -> Gauge:
    """With the vocabulary, which must be there."""
    encoding = find_encoding("o200k_base")
    assert encoding is not None
    return exact_gauge(encoding)


@pytest.mark.parametrize("name", NASTY)
def test_the_work_is_bounded_whatever_the_text(name: str, watched: Watched) -> None:
    """A tool result is somebody else's text, and one that stops the process is an attack that costs nothing."""
    text = NASTY[name]()
    found = watched.gauge.count(text)
    assert 0 < found.tokens <= found.most == byte_length(text)
    assert max(watched.read) <= CHUNK
    assert len(watched.read) <= 2 * watched.gauge.most_chunks


def test_a_limit_is_passed_after_a_few_chunks(watched: Watched) -> None:
    """Ten megabytes against a limit of four thousand is a matter of milliseconds."""
    found = count_up_to(NASTY["ten megabytes"](), 4_000, watched.gauge.measure)
    assert (found > 4_000, len(watched.read)) == (True, 1)


def test_below_its_limit_a_text_is_counted_whole() -> None:
    """An early exit that left too soon would refuse what fits."""
    text = corpora(60_000)["english"]
    gauge = o200k()
    assert count_up_to(text, MILLION, gauge.measure) == gauge.count(text).tokens


@pytest.mark.parametrize("kind", corpora())
def test_chunks_change_no_count(kind: str) -> None:
    """Cuts are made where tokens end anyway; scripts without spaces may gain a token per cut."""
    text = corpora(100_000)[kind]
    whole = o200k().measure(text)
    cut = o200k().count(text).tokens
    without_spaces = {"chinese", "japanese", "base64", "hex", "csv", "uuids", "json", "log"}
    assert 0 <= cut - whole <= (2 * len(text) / CHUNK if kind in without_spaces else 0)


@given(ANY_TEXT, st.integers(1, 50))
def test_chunks_are_the_text(text: str, size: int) -> None:
    """Nothing is lost, nothing comes twice, none is too long or empty."""
    found = list(chunks(text, size))
    assert "".join(found) == text
    assert all(0 < len(chunk) <= size for chunk in found)


@given(ANY_TEXT)
def test_no_count_is_above_the_bytes(text: str) -> None:
    """The bound needs no vocabulary, so it is what holds when nothing else is known."""
    for spec in ENCODINGS.values():
        encoding = find_encoding(spec.name)
        gauges = [guess_gauge(), *([exact_gauge(encoding)] if encoding else [])]
        assert all(gauge.measure(text) <= byte_length(text) for gauge in gauges)


def test_a_sample_counts_more_rather_than_less() -> None:
    """What is too long to be counted may be too dear as well."""
    text = corpora(3_000_000)["english"]
    found = o200k().count(text)
    assert found.sampled
    assert 1 <= found.tokens / sum(map(o200k().measure, chunks(text))) <= 1.1


def test_a_sample_is_spread_from_end_to_end() -> None:
    """Half prose, half base64 must not look like prose."""
    text = "".join(chr(0x4E00 + at) for at in range(10_000))
    found = list(samples(text, 10, 500))
    starts = [text.index(sample) for sample in found]
    assert (starts[0], starts[-1] + 500) == (0, len(text))
    assert len({later - earlier for earlier, later in pairwise(starts)}) <= 2


@pytest.mark.parametrize("kind", corpora())
def test_a_guess_is_within_what_a_reservation_covers(kind: str) -> None:
    """Half as much again is held where there is no vocabulary."""
    text = corpora()[kind]
    assert guess(text) * 1.5 >= o200k().count(text).tokens


def test_guesses_are_right_within_a_tenth() -> None:
    """The median over prose, code and data in a dozen scripts."""
    errors = sorted(abs(guess(text) / o200k().count(text).tokens - 1) for text in corpora().values())
    assert errors[len(errors) // 2] <= 0.10


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("😀🦊🪐🚀 " * 50, 0.85),
        ("🧑‍💻 👨‍👩‍👧 🇩🇪 ❤️ 🙏🏽 " * 50, 0.95),
        ("𠮷野家 𩸽 𝐀𝐁𝒞𝔇 " * 50, 0.8),
        ("Belediye meclisi dün bisiklet yolları olan yeni bir park yapılmasına karar verdi. " * 20, 0.85),
        ("Mieszkańcy od lat skarżyli się na brak zieleni i duże natężenie ruchu w tej części miasta. " * 20, 0.85),
        ("A városi tanács úgy döntött, hogy a belvárosban új parkot létesítenek kerékpárutakkal. " * 20, 0.85),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 " * 20, 0.9),
        ("c2hpcCBpdCBub3csIGZpeCBpdCBsYXRlcg0KMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A " * 20, 0.75),
    ],
)
def test_a_guess_is_not_far_below_where_a_piece_is_many_tokens(text: str, least: float) -> None:
    """Emoji, languages that put many words into one, and what dice made: what is guessed low is held low."""
    assert guess(text) >= least * o200k().count(text).tokens


@pytest.mark.parametrize("kind", corpora())
def test_pieces_are_never_more_than_tokens(kind: str) -> None:
    """Each piece is a token or more, whatever the vocabulary."""
    text = corpora()[kind]
    assert len(pieces(text)) <= o200k().count(text).tokens
