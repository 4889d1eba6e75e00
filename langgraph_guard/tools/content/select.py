"""The fields that a contract keeps of a result, and lists in an order that no replica decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from langgraph_guard.state.order import order
from langgraph_guard.tools.content.blocks import is_blocks, on_texts
from langgraph_guard.tools.content.paths import STAR, Fields, Path, Star, check_paths, tree
from langgraph_guard.tools.content.reading import NOT_JSON, Reading, UnreadableResult, parsed, rendered

_ABSENT: Final = object()
_ANY: Final[Path] = (STAR,)


class Selection(NamedTuple):
    """What was kept. `applied` is false of what has no fields: a text that is no JSON, a number, bytes.

    `missing`: the paths at which nothing was found anywhere, as the contract writes them.
    """

    value: Any
    applied: bool
    missing: tuple[str, ...] = ()


def select(value: Any, keep: Sequence[str]) -> Any:
    """`value` with nothing but the fields in `keep`: see `selection`."""
    return selection(value, keep).value


def selection(value: Any, keep: Sequence[str]) -> Selection:
    """The fields of `value` that the dotted paths in `keep` name, in the order of `keep`; those of a `*` by name.

    What a path goes through stays, be it an empty list; fields that are not there are absent. A field is kept with all
    that is in it. A JSON text is read and written again as compact JSON, in content blocks, too. Text that is no JSON
    stays as it is, and `applied` says so; so does everything where `keep` is empty. A result without end is an
    `UnreadableResult`.
    """
    paths = _paths("keep", keep)
    selecting = _Selecting()
    found = _on_data(value, lambda data: selecting.kept(data, (tree(paths),), 0)) if paths else value
    if not selecting.began:
        return Selection(value, applied=False)
    missing = (written for written, path in zip(keep, paths, strict=True) if not selecting.reached(path))
    return Selection(found, applied=True, missing=tuple(missing))


def ordered(value: Any, sort_key: Sequence[str]) -> Any:
    """`value` with its lists in the order of `sort_key` and its mappings in the order of their keys.

    Each path names a field of a list's elements: `id` where the result is the list, `results.id` where it is in
    `results`. The last list that a path goes through is sorted by what the path leads to from there; a path that ends
    at a list sorts it by its elements. Paths count in the order of `sort_key`, numbers by size and after everything
    else, which counts by its JSON text; what is absent counts as null. Elements that are equal by all paths are ordered
    by all that they are: equal elements make equal bytes, whoever sent them in whatever order.
    """
    paths = _paths("sort_key", sort_key)
    return _on_data(value, lambda found: _sorted(Reading().whole(found), paths)) if paths else value


def _paths(setting: str, paths: Sequence[str]) -> tuple[Path, ...]:
    try:
        return _read(setting, tuple(paths) if isinstance(paths, list) else paths)
    except TypeError:  # it cannot be hashed, so it is no list of texts: `check_paths` says what it is
        return check_paths(setting, paths)


_read = lru_cache(256)(check_paths)


def _on_data(value: Any, change: Callable[[Any], Any]) -> Any:
    """`change` what has fields: mappings, lists and the like, and the data in JSON texts."""
    try:
        if isinstance(value, str):
            found = parsed(value)
            return value if found is NOT_JSON else rendered(change(found))
        if is_blocks(value):
            return on_texts(value, lambda text: str(_on_data(text, change)))
        found = Reading().opened(value, 0)
        return change(found) if isinstance(found, dict | list) else value
    except RecursionError:  # within `MOST_DEPTH`, but whoever called is deep down already
        raise UnreadableResult("is nested too deep to be read from here") from None


class _Selecting(Reading):
    """Walks where the paths lead, and nowhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.began = False
        self._found: set[Path] = set()

    def reached(self, path: Path) -> bool:
        """Whether something was kept at `path`, or all that is around it."""
        return any(_covers(found, path) for found in self._found)

    def kept(self, value: Any, fields: tuple[Fields, ...], depth: int) -> Any:
        self.began = True
        if whole := [each for each in fields if each.whole]:
            self._found.update(each.path for each in whole)
            return self.whole(value, depth)
        found = self.opened(value, depth)
        if isinstance(found, dict):
            members = ((key, self.kept(found[key], _below(fields, key), depth + 1)) for key in _keys(found, fields))
            return {key: member for key, member in members if member is not _ABSENT}
        if isinstance(found, list):
            inside = _inside(fields)
            kept = (self.kept(member, inside, depth + 1) for member in found)
            return [member for member in kept if member is not _ABSENT]
        return _ABSENT


def _covers(found: Path, path: Path) -> bool:
    steps = zip(found, path, strict=False)
    return len(found) <= len(path) and all(mine in (step, STAR) for mine, step in steps)


def _keys(found: dict[str, Any], fields: tuple[Fields, ...]) -> Iterable[str]:
    """In the order of the paths, which no replica decides."""
    named = {key: None for each in fields for key in each.named if key in found}
    return (*named, *sorted(found.keys() - named.keys())) if any(each.every for each in fields) else named


def _below(fields: tuple[Fields, ...], key: str) -> tuple[Fields, ...]:
    return tuple(part for each in fields for part in (each.named.get(key), each.every) if part)


def _inside(fields: tuple[Fields, ...]) -> tuple[Fields, ...]:
    """What holds for a list's elements: a star is about them, and names go on into them."""
    stars = [each.every for each in fields if each.every]
    return (*stars, *(Fields(named=each.named) if each.every else each for each in fields if each.named))


def _sorted(value: Any, paths: Sequence[Path]) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key], _after(paths, key)) for key in sorted(value)}
    return _sorted_list(value, paths) if isinstance(value, list) else value


def _after(paths: Sequence[Path], key: str) -> list[Path]:
    return [path[1:] for path in paths if path[:1] in ((key,), _ANY)]


def _sorted_list(value: list[Any], paths: Sequence[Path]) -> list[Any]:
    own: list[Path] = []
    further: list[Path] = []
    for path in paths:
        inside = path[1:] if path[:1] == _ANY else path
        goes_on = bool(path) and any(_meets_list(member, inside) for member in value)
        (further if goes_on else own).append(inside)
    members = [_sorted(member, further) for member in value]
    if not own:
        return members
    return sorted(members, key=lambda member: ([order(_at(member, path)) for path in own], order(member)))


def _meets_list(value: Any, path: Path) -> bool:
    """Whether there is a list on the way, or at its end."""
    if isinstance(value, list):
        return True
    return bool(path) and any(_meets_list(member, path[1:]) for member in _members(value, path[0]))


def _at(value: Any, path: Path) -> Any:
    """What `path` leads to, through mappings; of a star, all that it leads to."""
    if not path:
        return value
    found = [_at(member, path[1:]) for member in _members(value, path[0])]
    return found if path[0] is STAR else next(iter(found), None)


def _members(value: Any, step: str | Star) -> Iterable[Any]:
    if not isinstance(value, dict):
        return ()
    return value.values() if isinstance(step, Star) else [value[step]] if step in value else ()
