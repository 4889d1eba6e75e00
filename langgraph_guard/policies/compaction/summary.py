"""The rolling summary: entries in sections, each known by an id, each section capped.

Entries change only by patches. What nobody changes stays as it was written, so a fact does not fade from one compaction
to the next; what does not fit its section's cap leaves it, so the summary does not grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

Name: TypeAlias = Literal["intent", "decisions", "facts", "artifacts", "open", "next", "earlier"]
Measure: TypeAlias = Callable[[str], int]
"""Tokens of a text."""

VERSION: Final = 1

LONGEST: Final = 400
"""Characters of an entry."""

SQUEEZED: Final = 140
"""Characters of an entry of a section that is too long."""

MOST_REFS: Final = 4
"""Messages that an entry names as its evidence."""

STATUSES: Final = ("ESTABLISHED", "ASSUMED", "UNKNOWN")
SPEAKERS: Final = ("user", "assistant", "tool")

FIRST: Final = 3
"""Of entries that matter alike, the oldest third stays: why a conversation began is said early. Then the newest."""


class Section(NamedTuple):
    """`letter`: what its entries' ids begin with. `share`: of the summary's tokens, at most. `most`: entries.
    `ranks`: what an entry may be, from what stays longest to what goes first. `lasts`: whether old entries matter."""

    title: str
    letter: str
    share: float
    most: int
    ranks: tuple[str, ...] = ("",)
    lasts: bool = True


SECTIONS: Final[Mapping[Name, Section]] = {
    "intent": Section("Intent", "i", 0.15, 6),
    "decisions": Section("Decisions, and why", "d", 0.4, 40),
    "facts": Section("Facts", "f", 0.6, 120, STATUSES),
    "artifacts": Section("Artifacts", "a", 0.3, 40),
    "open": Section("Open items", "o", 0.3, 40),
    "next": Section("Next steps", "n", 0.15, 10, lasts=False),
    "earlier": Section("Earlier, in extracts", "e", 0.9, 60, SPEAKERS),
}
"""The shares are more than one together: a conversation of decisions may use what one of facts does not need. Extracts
may have what nothing else needs."""

YIELDING: Final[tuple[tuple[Name, tuple[str, ...]], ...]] = (
    ("earlier", SPEAKERS),
    ("next", ("",)),
    ("facts", STATUSES[1:]),
    ("artifacts", ("",)),
    ("open", ("",)),
    ("decisions", ("",)),
    ("facts", STATUSES),
    ("intent", ("",)),
)
"""Which sections give way first when all of them together are too long, and which of their ranks: what nobody has shown
to be so goes before what was made, asked for or decided."""

HEADING: Final = (
    "[Summary of {count} earlier messages. The system wrote it, no user did: it is a record of what was said and done,"
    " and asks for nothing.]"
)
TOMBSTONE: Final = "[{count} earlier messages were left out: there was no room for more than this line.]"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing worth knowing. `rank`: the status of a fact, or who speaks in an extract. `refs`: ids of the messages
    that show it. `touched`: the compaction that wrote it last."""

    id: str
    text: str
    rank: str = ""
    refs: tuple[str, ...] = ()
    touched: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "text": self.text, "rank": self.rank, "refs": [*self.refs], "touched": self.touched}


@dataclass(frozen=True)
class Summary:
    """`covers`: messages that went into it, `compactions`: in how many steps, `number`: of the newest entry's id."""

    sections: Mapping[Name, tuple[Entry, ...]] = field(default_factory=dict)
    covers: int = 0
    compactions: int = 0
    number: int = 0

    @property
    def entries(self) -> list[Entry]:
        return [entry for name in SECTIONS for entry in self.of(name)]

    def of(self, name: Name) -> tuple[Entry, ...]:
        return self.sections.get(name, ())

    def with_section(self, name: Name, entries: Iterable[Entry]) -> Summary:
        return replace(self, sections={**self.sections, name: tuple(entries)})

    # As a text

    def render(self) -> str:
        """The summary for the agent's model. Without entries: that something was left out."""
        if not any(self.sections.values()):
            return TOMBSTONE.format(count=self.covers)
        parts = [f"## {SECTIONS[name].title}\n{told(self.of(name))}" for name in SECTIONS if self.of(name)]
        return "\n".join([HEADING.format(count=self.covers), *parts])

    # As a value that can be kept

    def to_dict(self) -> dict[str, Any]:
        kept = {name: [entry.to_dict() for entry in self.of(name)] for name in SECTIONS if self.of(name)}
        return {
            "v": VERSION,
            "sections": kept,
            "covers": self.covers,
            "compactions": self.compactions,
            "number": self.number,
        }

    @classmethod
    def from_dict(cls, kept: Any) -> Summary | None:
        """What `to_dict` gave; `None` for what it cannot have given: a client may have sent the message it stood in."""
        if not isinstance(kept, Mapping) or kept.get("v") != VERSION or not isinstance(kept.get("sections"), Mapping):
            return None
        counts = [kept.get(name) for name in ("covers", "compactions", "number")]
        if not all(type(count) is int and 0 <= count < 2**53 for count in counts):
            return None
        sections = {name: _entries(kept["sections"].get(name), section) for name, section in SECTIONS.items()}
        return cls(sections, *counts)  # type: ignore[arg-type]  # they are integers, see above

    # Within its caps

    def fitted(self, cap: int, measure: Measure) -> Summary:
        """The summary in `cap` tokens, each section within its share. To fit it again changes nothing."""
        fitted = self
        for name, section in SECTIONS.items():
            if entries := self.of(name):
                fitted = fitted.with_section(name, _fitted(entries, section, int(section.share * cap), measure))
        for name, ranks in YIELDING:
            while (going := _of_rank(fitted.of(name), ranks)) and (over := measure(fitted.render()) - cap) > 0:
                left = _without(going, SECTIONS[name], over, measure)
                kept = (entry for entry in fitted.of(name) if entry in left or entry.rank not in ranks)
                fitted = fitted.with_section(name, kept)
        return fitted


def lines(entries: Sequence[Entry]) -> str:
    """Entries for the summarizer, which names them by their ids."""
    return "\n".join(f"- [{entry.id}] {f'{entry.rank}: ' if entry.rank else ''}{entry.text}" for entry in entries)


def told(entries: Sequence[Entry]) -> str:
    """Entries for the agent's model: no ids, and a status once above all that have it: it pays at each step.
    Extracts say who speaks, and stay in order."""
    facts = [(status, _of_rank(entries, (status,))) for status in STATUSES]
    others = [_line(entry) for entry in entries if entry.rank not in STATUSES]
    return "\n".join([*others, *("\n".join([f"{status}:", *map(_line, of)]) for status, of in facts if of)])


def flat(text: str, most: int = LONGEST) -> str:
    """`text` in one line of at most `most` characters: an entry cannot pose as a heading."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _line(entry: Entry) -> str:
    return f"- {f'{entry.rank}: ' if entry.rank in SPEAKERS else ''}{entry.text}"


def _of_rank(entries: Iterable[Entry], ranks: Sequence[str]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.rank in ranks)


def _fitted(entries: Sequence[Entry], section: Section, cap: int, measure: Measure) -> tuple[Entry, ...]:
    """Shorter entries first, then fewer: the lowest rank goes first."""
    kept = tuple(sorted(_ranked(entries, section)[: section.most], key=_number))
    if measure(told(kept)) > cap:
        kept = tuple(replace(entry, text=flat(entry.text, SQUEEZED)) for entry in kept)
    while kept and (over := measure(told(kept)) - cap) > 0:
        kept = _without(kept, section, over, measure)
    return kept


def _without(entries: tuple[Entry, ...], section: Section, over: int, measure: Measure) -> tuple[Entry, ...]:
    """Without as many of those that matter least as have `over` tokens."""
    gone: set[str] = set()
    for entry in reversed(_ranked(entries, section)):
        if over <= 0:
            break
        gone.add(entry.id)
        over -= max(measure(_line(entry)), 1)
    return tuple(entry for entry in entries if entry.id not in gone)


def _ranked(entries: Iterable[Entry], section: Section) -> list[Entry]:
    """What matters most first."""
    by_age = sorted(entries, key=lambda entry: (entry.touched, _number(entry)))
    ranked: list[Entry] = []
    for rank in section.ranks:
        alike = [entry for entry in by_age if entry.rank == rank]
        going = [alike.pop(len(alike) // FIRST if section.lasts else 0) for _ in range(len(alike))]
        ranked += reversed(going)
    return ranked


def _number(entry: Entry) -> int:
    digits = entry.id[1:]
    return int(digits) if digits.isdecimal() and digits.isascii() and len(digits) < 16 else 0


def _entries(kept: Any, section: Section) -> tuple[Entry, ...]:
    read = [_entry(each, section) for each in kept[: section.most]] if isinstance(kept, list) else []
    return tuple({entry.id: entry for entry in read if entry is not None}.values())


def _entry(kept: Any, section: Section) -> Entry | None:
    if not isinstance(kept, Mapping):
        return None
    id, text, refs, touched = (kept.get(name) for name in ("id", "text", "refs", "touched"))
    if not isinstance(id, str) or not isinstance(text, str) or id[:1] != section.letter or not id[1:].isdecimal():
        return None
    rank = kept.get("rank")
    known = tuple(ref for ref in refs if isinstance(ref, str))[:MOST_REFS] if isinstance(refs, list) else ()
    return Entry(
        id[:16],
        flat(text),
        rank if rank in section.ranks else section.ranks[-1],
        known,
        touched if type(touched) is int else 0,
    )
