"""YAML as a contract's file needs it: plain values, each key once, no aliases: cycles and bombs are made of them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from langgraph_guard.errors import ConfigError

MOST_BYTES: Final = 1_000_000


def read_yaml(path: str | Path) -> list[Any]:
    """The documents of a file, but for empty ones. What is wrong with it is a `ConfigError` of the file."""
    if "\n" in str(path):
        raise ConfigError(
            "contracts", "is a text of several lines: pass the path of a file, or what yaml.safe_load makes"
        )
    where = Path(path)
    text = _text(where)
    yaml = _yaml()
    try:
        documents = list(yaml.load_all(text, Loader=_loader()))
    except yaml.YAMLError as error:
        raise ConfigError(_named(where), _told(error)) from None
    except RecursionError:
        raise ConfigError(_named(where), "is nested too deeply") from None
    if not (found := [document for document in documents if document is not None]):
        raise ConfigError(_named(where), "is empty: it protects nothing")
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigError(_named(path), f"cannot be read: {type(error).__name__}") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(_named(path), f"has more than {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(_named(path), "is not UTF-8 text") from None


def _yaml() -> Any:
    """Imported when the first file is read."""
    return import_module("yaml")


@cache
def _loader() -> Any:
    yaml = _yaml()
    base: Any = yaml.SafeLoader

    class Loader(base):  # type: ignore[misc]  # untyped, like the rest of it
        """`safe_load`'s, stricter."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.MarkedYAMLError(
                    problem="has an alias: write it out, or load Python", problem_mark=self.peek_event().start_mark
                )
            return super().compose_node(parent, index)

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (ValueError, OverflowError, LookupError):  # a date in month 13, a number of a thousand digits
                raise yaml.MarkedYAMLError(problem="is no value", problem_mark=node.start_mark) from None

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key
                if name in seen:
                    raise yaml.MarkedYAMLError(problem=f"has {key.value:.60} twice", problem_mark=key.start_mark)
                seen.add(name)
            return dict(super().construct_mapping(node, deep))

    return Loader


def _told(error: Any) -> str:
    """A parser's sentence and its line. The line's text stays out: it may hold anything."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = f"line {mark.line + 1}: " if mark else ""
    return f"{line}{str(getattr(error, 'problem', None) or 'is not YAML')[:120]}"


def _named(path: Path) -> str:
    return "".join(letter for letter in str(path)[-100:] if letter.isprintable())
