"""What a summarizer reads of messages: who said what, cut to what matters, in pieces that fit its own window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from langgraph_guard.policies.compaction.extract import Said, arguments

RESULT: Final = 1_500
"""Characters of a tool's result that a summarizer reads: its beginning and its end."""

CALL: Final = 300
"""Characters of a call's arguments."""


def transcript(said: Said) -> str:
    """One message. The first line says whose it is."""
    title = f"[{said.ref}] {said.by}{f' {said.name}' if said.name else ''}{' (failed)' if said.failed else ''}:"
    text = ends(said.text, RESULT) if said.by == "tool" else said.text
    asked = [f"calls {name} with {arguments(args, CALL)}" for name, args in said.calls]
    return "\n".join([title, *([text] if text.strip() else []), *asked])


def ends(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    head = most * 2 // 3
    return f"{text[:head]}\n[… {len(text) - most} characters …]\n{text[head - most :]}"


def chunks(said: Sequence[Said], most: int, measure: Callable[[str], int]) -> Iterator[list[tuple[Said, str]]]:
    """The messages and their transcripts, in order, in groups of at most `most` tokens. A message that is longer than
    that is divided."""
    group: list[tuple[Said, str]] = []
    left = most
    for each, text in _pieces(said, most, measure):
        size = measure(text)
        if group and size > left:
            yield group
            group, left = [], most
        group.append((each, text))
        left -= size
    if group:
        yield group


def _pieces(said: Iterable[Said], most: int, measure: Callable[[str], int]) -> Iterator[tuple[Said, str]]:
    for each in said:
        text = transcript(each)
        size = measure(text)
        parts = max(-(-size // max(most, 1)), 1)
        if parts == 1:
            yield each, text
            continue
        # Twice as many as the average asks for: a part of a text may have more tokens than its share.
        length = max(len(text) // (2 * parts), 1)
        for start in range(0, len(text), length):
            yield each, text[start : start + length]
