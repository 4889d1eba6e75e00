"""Results that are too big to be read at every step: kept in `guard_artifacts`, shown in parts, read when asked for.

What a model reads of one is a line of ours, which says what it is and how to read it, and below it parts of the text.
The line holds nothing that the text could have said but the names of fields. `guard` fences what is below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langgraph_guard.errors import ConfigError
from langgraph_guard.state.calls import Artifact
from langgraph_guard.tokens.text import byte_length
from langgraph_guard.tools.content.excerpt import boundary, head, tail
from langgraph_guard.tools.content.reading import NOT_JSON, UnreadableResult, parsed

READ_ARTIFACT: Final = "read_artifact"
"""The tool that reads artifacts. What it returns is never one: it would have to be read again."""

PREVIEW: Final = 2_000
"""Characters of a result that stay in sight."""

NOTE: Final = 600
"""Characters of a limit that are left to the line above the text."""

HEAD: Final = 0.6
"""Of the preview; the rest shows the end."""

HITS: Final = 10
CONTEXT: Final = 100
LONGEST_NEEDLE: Final = 200
LISTED: Final = 20
KEYS: Final = 10

_KEY: Final = re.compile(r"[\w.$@-]{1,32}")
_NOT_IN_A_NAME: Final = re.compile(r"[^\w.:/-]+")


class Offloaded(NamedTuple):
    """`preview` for the model, `record` for `guard_artifacts`."""

    preview: str
    record: Artifact


class CannotRead(ValueError):
    """What was asked of an artifact cannot be done. The message tells a model what to ask for."""


def offload(
    text: str,
    *,
    id: str,
    tool: str,
    call: str,
    limit: int,
    at: int,
    preview: int = PREVIEW,
    reader: str = READ_ARTIFACT,
) -> Offloaded | None:
    """What to show of `text`, and the record that keeps all of it; `None` when it has `limit` characters or fewer.

    The preview is the same for the same text. It has at most `preview` characters of the text, fits `limit` if that
    leaves room for the line above (`NOTE`), and is shorter than the text: else `None`. `id` names the artifact, `call`
    the tool call, `at` is the time in ms, `reader` the tool that reads it.
    """
    if limit < 1:
        raise ConfigError("limit", f"must be 1 or more characters, is {limit}")
    if len(text) <= limit:
        return None
    room = min(preview, max(limit - NOTE, 0))
    end, start = head(text, int(room * HEAD)), tail(text, room - int(room * HEAD))
    below = f" Below: its first {end} and its last {len(text) - start} characters." if room else ""
    read = f'{reader}(id="{id}"'
    note = (
        f"[{name(tool)} returned {_size(text)}{_shape(text)}. All of it is artifact {id}.{below}"
        f' {read}, offset={end}) reads on, {read}, find="…") searches it.]'
    )
    shown = f"{note}\n{text[:end]}\n[… {start - end:,} characters …]\n{text[start:]}" if room else note
    record = Artifact(id=id, tool=tool, call=call, text=text, chars=len(text), at=at)
    return Offloaded(shown, record) if len(shown) < len(text) else None


def find_artifact(artifacts: Sequence[Mapping[str, Any]] | None, id: str) -> Mapping[str, Any]:
    """The newest record of that id. If there is none, `CannotRead` lists those that there are."""
    known = {str(record.get("id")): record for record in artifacts or () if isinstance(record, Mapping)}
    if found := known.get(id.strip().strip("\"'`")):
        return found
    if not known:
        raise CannotRead("there are no artifacts: no result of this conversation was too big, or it was long ago")
    newest = list(known.items())[: -LISTED - 1 : -1]
    listed = ", ".join(f"{each} ({name(record.get('tool'))}, {_length(record)} characters)" for each, record in newest)
    more = f", and {len(known) - LISTED} older ones" if len(known) > LISTED else ""
    raise CannotRead(f"there is no artifact with this id; the artifacts are: {listed}{more}")


def page(record: Mapping[str, Any], offset: int, limit: int, *, reader: str = READ_ARTIFACT) -> str:
    """Up to `limit` characters from `offset` on, below a line that says which. Pages join without a gap."""
    text, start = _text(record), max(offset, 0)
    if start >= len(text):
        raise CannotRead(f"offset {start} is past the end: the artifact has {len(text)} characters, from 0 on")
    end = boundary(text, start + max(limit, 1))
    end = end if end > start else min(start + max(limit, 1), len(text))
    rest = "its end" if end == len(text) else f'{reader}(id="{record["id"]}", offset={end}) reads on'
    return f"{_label(record)}: characters {start} to {end} of {len(text)}; {rest}.]\n{text[start:end]}"


def search(record: Mapping[str, Any], needle: str, offset: int, most: int, *, reader: str = READ_ARTIFACT) -> str:
    """Where `needle` stands from `offset` on, upper and lower case alike: its first places with what is around them."""
    text, wanted = _text(record), _lower(needle)
    if len(needle) > LONGEST_NEEDLE:
        raise CannotRead(f"find has {len(needle)} characters, the limit is {LONGEST_NEEDLE}: look for a shorter text")
    lowered, start = _lower(text), max(offset, 0)
    places = list(_places(lowered, wanted, start, min(HITS, max(most // (2 * CONTEXT + len(needle) + 20), 1))))
    total = lowered.count(wanted, start)
    if not places:
        raise CannotRead(f"find: not in the {len(text)} characters of the artifact from offset {start} on")
    more = (
        f'; {reader}(id="{record["id"]}", find="…", offset={places[-1] + 1}) finds more' if total > len(places) else ""
    )
    hits = (f"offset {place}: {_around(text, place, len(needle))}" for place in places)
    return "\n".join(
        (f"{_label(record)}: found {total} times from offset {start} on, {len(places)} shown{more}.]", *hits)
    )


def name(tool: object) -> str:
    """A tool's name as it can stand in a line of ours: names come from servers of other people, too."""
    return _NOT_IN_A_NAME.sub("_", str(tool))[:64] or "a tool"


def _label(record: Mapping[str, Any]) -> str:
    return f"[Artifact {record['id']} of {name(record.get('tool'))}"


def _text(record: Mapping[str, Any]) -> str:
    return str(record.get("text") or "")


def _length(record: Mapping[str, Any]) -> int:
    return len(_text(record))


def _size(text: str) -> str:
    return f"{len(text):,} characters, {byte_length(text):,} bytes, {text.count(chr(10)) + 1:,} lines"


def _shape(text: str) -> str:
    """What a JSON text holds: how many elements or which keys."""
    try:
        found = parsed(text)
    except UnreadableResult:
        return ""
    if found is NOT_JSON:
        return ""
    if isinstance(found, dict):
        return f": a JSON object with {_keys(found)}"
    first = f", the first with {_keys(found[0])}" if found and isinstance(found[0], dict) else ""
    return f": a JSON array of {len(found):,} elements{first}"


def _keys(found: Mapping[str, Any]) -> str:
    """Names only: a key that is a sentence is none of ours to repeat."""
    names = [key for key in found if _KEY.fullmatch(key)][:KEYS]
    more = f" and {len(found) - len(names)} more" if len(found) > len(names) else ""
    return f"the keys {', '.join(names)}{more}" if names else f"{len(found)} keys"


def _lower(text: str) -> str:
    """In lower case, character by character: places in it are places in `text`."""
    return text.replace("İ", "i").lower().replace("ς", "σ")


def _places(text: str, wanted: str, start: int, most: int) -> Iterator[int]:
    for _ in range(most):
        start = text.find(wanted, start)
        if start < 0:
            return
        yield start
        start += len(wanted)


def _around(text: str, place: int, length: int) -> str:
    start, end = boundary(text, max(place - CONTEXT, 0)), boundary(text, place + length + CONTEXT)
    return f"{'…' if start else ''}{' '.join(text[start:end].split())}{'…' if end < len(text) else ''}"
