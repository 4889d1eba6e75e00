"""How a summarizer's answer changes the summary: entries are added, replaced and removed, by their ids.

An answer is read leniently, since models write JSON as they please, and used carefully, since what they read may have
told them what to write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from langgraph_guard.policies.compaction.summary import (
    LONGEST,
    MOST_REFS,
    SECTIONS,
    STATUSES,
    Entry,
    Name,
    Summary,
    flat,
)

Op: TypeAlias = Literal["add", "replace", "remove"]

MOST_CHARS: Final = 40_000
"""Characters of an answer that is read. A longer one is no summary."""

MOST_PATCHES: Final = 200
ATTEMPTS: Final = 500
"""Places of an answer at which JSON is looked for."""

REMOVABLE: Final = 3
"""Entries of a section, or a third of them if that is more, that one answer may remove: what a tool returned may ask a
summarizer to forget."""

GUARDED: Final = frozenset({"intent", "decisions", "facts"})

_OPS: Final[Mapping[str, Op]] = {
    "add": "add",
    "append": "add",
    "insert": "add",
    "replace": "replace",
    "update": "replace",
    "change": "replace",
    "remove": "remove",
    "delete": "remove",
}
_SECTIONS: Final[Mapping[str, Name]] = {
    **{name: name for name in SECTIONS if name != "earlier"},
    "goal": "intent",
    "decision": "decisions",
    "fact": "facts",
    "artifact": "artifacts",
    "files": "artifacts",
    "open_items": "open",
    "open items": "open",
    "todo": "open",
    "next_steps": "next",
    "next steps": "next",
}
_COMMA: Final = re.compile(r",(?=\s*[\]}])")


@dataclass(frozen=True, slots=True)
class Patch:
    """`add`: `section`, `text`. `replace`: `id`, `text`. `remove`: `id`. `refs`: as the transcript calls messages."""

    op: Op
    section: Name | None = None
    id: str = ""
    text: str = ""
    rank: str = ""
    refs: tuple[str, ...] = ()


def read_patches(answer: Any) -> list[Patch]:
    """The patches in an answer: a text with JSON in it, or what JSON stands for. [] when there are none."""
    if isinstance(answer, str):
        values = _values(answer) if len(answer) <= MOST_CHARS else iter(())
    else:
        values = iter((answer,))
    found = [patch for value in values for patch in _patches(value)]
    return found[:MOST_PATCHES]


def applied(summary: Summary, patches: Sequence[Patch], refs: Mapping[str, str], at: int) -> Summary:
    """`summary` after `patches`, in the compaction number `at`. `refs`: ids of messages by what the transcript calls
    them. What is added twice is added once; what names an unknown id is added if it says where."""
    work = _Work(summary, at)
    for patch in _bounded(summary, patches):
        work.apply(patch, tuple(refs[ref] for ref in patch.refs if ref in refs)[:MOST_REFS])
    return work.done()


class _Work:
    """A summary that is being changed: its entries by id, and what they say."""

    def __init__(self, summary: Summary, at: int) -> None:
        self._summary = summary
        self._at = at
        self._number = summary.number
        self._entries = {name: {entry.id: entry for entry in summary.of(name)} for name in SECTIONS}
        self._said = {name: {entry.text.casefold() for entry in summary.of(name)} for name in SECTIONS}

    def apply(self, patch: Patch, refs: tuple[str, ...]) -> None:
        here = next((name for name, entries in self._entries.items() if patch.id in entries), None)
        if patch.op == "remove":
            if here:
                self._said[here].discard(self._entries[here].pop(patch.id).text.casefold())
        elif patch.op == "replace" and here:
            entry = self._entries[here][patch.id]
            self._entries[here][patch.id] = _replaced(entry, patch, refs, self._at)
        elif patch.section:
            self._add(patch.section, patch, refs)

    def done(self) -> Summary:
        sections = {name: tuple(entries.values()) for name, entries in self._entries.items()}
        return replace(self._summary, sections=sections, number=self._number)

    def _add(self, name: Name, patch: Patch, refs: tuple[str, ...]) -> None:
        text = flat(patch.text)
        if not text or text.casefold() in self._said[name]:
            return
        self._number += 1
        id = f"{SECTIONS[name].letter}{self._number}"
        self._entries[name][id] = Entry(id, text, _rank(name, patch.rank), refs, self._at)
        self._said[name].add(text.casefold())


def _replaced(entry: Entry, patch: Patch, refs: tuple[str, ...], at: int) -> Entry:
    both = tuple(dict.fromkeys((*refs, *entry.refs)))[:MOST_REFS]
    rank = patch.rank if entry.rank in STATUSES and patch.rank else entry.rank
    return replace(entry, text=flat(patch.text), rank=rank, refs=both, touched=at)


def _rank(name: Name, rank: str) -> str:
    """A fact of which nobody says how sure it is counts as assumed."""
    ranks = SECTIONS[name].ranks
    return rank if rank in ranks else "ASSUMED" if name == "facts" else ranks[-1]


def _bounded(summary: Summary, patches: Sequence[Patch]) -> Iterator[Patch]:
    """The patches without removals that would empty a section that must last."""
    removed: dict[str, int] = {}
    added = {patch.section for patch in patches if patch.op != "remove"}
    for patch in patches:
        name = _section_of(summary, patch.id) if patch.op == "remove" else None
        if name is not None and name in GUARDED:
            removed[name] = removed.get(name, 0) + 1
            if removed[name] > _removable(summary, name, filled=name in added):
                continue
        yield patch


def _removable(summary: Summary, name: Name, *, filled: bool) -> int:
    """How many entries of a section one answer may remove. The last intent goes only if there is another one: there is
    always something that the user wants."""
    entries = len(summary.of(name))
    most = max(REMOVABLE, entries // 3)
    return min(most, entries - 1) if name == "intent" and not filled else most


def _section_of(summary: Summary, id: str) -> Name | None:
    return next((name for name in SECTIONS if any(entry.id == id for entry in summary.of(name))), None) if id else None


# Reading


def _values(text: str) -> Iterator[Any]:
    """The JSON values in a text: in a fence, in the middle of a sentence, or cut off behind the first few."""
    decoder, at = json.JSONDecoder(), 0
    text = _COMMA.sub("", text)
    for _ in range(ATTEMPTS):
        start = min((place for mark in "{[" if (place := text.find(mark, at)) >= 0), default=-1)
        if start < 0:
            return
        try:
            value, at = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            at = start + 1
            continue
        yield value


def _patches(value: Any) -> Iterator[Patch]:
    if isinstance(value, list):
        for each in value:
            yield from _patches(each) if isinstance(each, Mapping) else ()
    elif isinstance(value, Mapping):
        if "op" in value:
            yield from _patch(value)
            return
        for key, inner in value.items():
            name = _SECTIONS.get(str(key).lower())
            if name is None:
                yield from _patches(inner) if isinstance(inner, list) else ()
            else:
                yield from _section(name, inner)


def _section(name: Name, value: Any) -> Iterator[Patch]:
    """A section that was written out whole: what it says is added."""
    for each in value if isinstance(value, list) else [value]:
        said = each if isinstance(each, Mapping) else {"text": each}
        yield from _patch({"op": "add", **said, "section": name})


def _patch(said: Mapping[str, Any]) -> Iterator[Patch]:
    op = _OPS.get(str(said.get("op")).lower())
    id = said.get("id") if isinstance(said.get("id"), str) else ""
    name = _SECTIONS.get(str(said.get("section")).lower())
    text = _text(said)
    if op == "remove" and id:
        yield Patch(op, id=cast(str, id))
    elif op in ("add", "replace") and text and (name or id):
        rank = str(said.get("status") or said.get("rank") or "").upper()
        refs = said.get("from") or said.get("refs")
        known = tuple(ref for ref in refs if isinstance(ref, str)) if isinstance(refs, list) else ()
        yield Patch(op, name, cast(str, id), text, rank if rank in SECTIONS["facts"].ranks else "", known)


def _text(said: Mapping[str, Any]) -> str:
    text, why = said.get("text"), said.get("why")
    if not isinstance(text, str) or not text.strip():
        return ""
    return flat(f"{text} (why: {why})" if isinstance(why, str) and why.strip() else text, LONGEST)
