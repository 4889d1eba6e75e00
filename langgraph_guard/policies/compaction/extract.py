"""What is remembered of messages without a model: who said what, in its first words; what tools were asked and said.

The same for the same messages. It is less than a summary, and never fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph_guard.policies.compaction.patches import Patch
from langgraph_guard.policies.compaction.summary import flat

BY_USER: Final = 240
BY_ASSISTANT: Final = 160
BY_TOOL: Final = 120
ARGUMENTS: Final = 80

_SENTENCE: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_ERROR: Final = re.compile(r"(?i)\b(?:error|exception|failed|failure|refused|timed? ?out|denied)\b")
_ARTIFACT: Final = re.compile(r"\bartifact ([0-9a-f]{12})\b")


@dataclass(frozen=True, slots=True)
class Said:
    """What one message said. `by`: user, assistant, tool or system; `calls`: names and arguments; `name`: the tool's;
    `ref`: what the transcript calls it."""

    by: str
    text: str
    ref: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    name: str = ""
    failed: bool = False


def extracts(said: Sequence[Said]) -> list[Patch]:
    """Entries for what was said, as patches of the section `earlier`, and the artifacts that were named."""
    return [patch for each in said for patch in _extracts(each)]


def arguments(args: Any, most: int = ARGUMENTS) -> str:
    """The arguments of a call as a short text. A text stays one: it is JSON already, or was meant to be."""
    if isinstance(args, str):
        return flat(args, most)
    try:
        return flat(json.dumps(args, ensure_ascii=False, default=str), most)
    except (TypeError, ValueError, RecursionError):
        return type(args).__name__


def _extracts(said: Said) -> Iterator[Patch]:
    if said.by == "tool":
        yield _earlier("tool", f"{said.name or 'a tool'} said: {_result(said)}", said)
        for id in dict.fromkeys(_ARTIFACT.findall(said.text)):
            yield Patch("add", "artifacts", text=f"artifact {id}, a result of {flat(said.name, 64)}", refs=(said.ref,))
        return
    speaker = said.by if said.by in ("user", "assistant") else "tool"
    if words := _ends(said.text, BY_USER if speaker == "user" else BY_ASSISTANT):
        yield _earlier(speaker, words, said)
    for name, args in said.calls:
        yield _earlier("tool", f"{flat(name, 64)} was called with {arguments(args)}", said)


def _earlier(rank: str, text: str, said: Said) -> Patch:
    return Patch("add", "earlier", text=text, rank=rank, refs=(said.ref,))


def _ends(text: str, most: int) -> str:
    """The first sentence, and the last one if there is room: requests end with what they ask for."""
    sentences = [part for part in _SENTENCE.split(text.strip()) if part]
    if not sentences:
        return ""
    first, last = flat(sentences[0], most), flat(sentences[-1], most)
    return first if len(sentences) == 1 or len(first) + len(last) + 3 > most else f"{first} … {last}"


def _result(said: Said) -> str:
    """The line of an error if there is one, or else the first."""
    found = [line for line in said.text.splitlines() if line.strip()]
    telling = next((line for line in found if _ERROR.search(line)), None)
    return flat(telling or (found[0] if found else "nothing"), BY_TOOL)
