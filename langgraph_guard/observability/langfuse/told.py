"""What a callback is told beside its data: names, tags and metadata, as they may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from langgraph.errors import GraphBubbleUp

from langgraph_guard.observability.langfuse.payload import Payloads

STEPS: Final = ("graph:step:", "seq:step:")
"""How tags begin that LangGraph gives each node and each part of a sequence: the tree says the same, and each costs
something at each observation."""
PROMPT: Final = "langfuse_prompt"
"""In a run's metadata: a prompt of Langfuse's, whose name and version the next model call is shown with."""


class Told:
    """Keyword arguments in, keyword arguments out, for the stock handler's callback of the same name."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads

    def what(self, serialized: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """What begins, by the names that the stock handler looks for: its own, its class's, its model's."""
        if serialized is None:
            return None
        given, path = serialized.get("kwargs"), serialized.get("id")
        names: dict[str, Any] = self._texts(serialized)
        names["kwargs"] = self._texts(given) if isinstance(given, Mapping) else {}
        if isinstance(path, list | tuple):
            names["id"] = [self._payloads.text(str(part)) for part in path]
        return names

    def _texts(self, named: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._payloads.text(said) for name, said in named.items() if isinstance(said, str)}

    def start(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Of what begins: with the run above it, tags and metadata."""
        below = told.get("parent_run_id") is not None
        given = told.get("metadata")
        metadata = self._payloads.metadata(given, below=below)
        if metadata is not None and given is not None and PROMPT in given:
            metadata[PROMPT] = _prompt(given[PROMPT])
        return {**self.end(told), "tags": self._tags(told.get("tags")), "metadata": metadata}

    def _tags(self, tags: Sequence[Any] | None) -> list[str] | None:
        if tags is None:
            return None
        full = self._payloads.kind == "full"
        return [self._payloads.text(tag) for tag in map(str, tags) if full or not tag.startswith(STEPS)]

    def model(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Of a model call that begins: with its parameters, which may hold whole tools and formats."""
        said: Mapping[str, Any] = told.get("invocation_params") or {}
        full = self._payloads.kind == "full"
        kept = {name: each for name, each in said.items() if full or isinstance(each, str | int | float)}
        return {**self.start(told), "invocation_params": self._payloads.metadata(kept) or {}}

    def end(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Of what ends: names and ids; the rest is data, and shown as such or not at all."""
        shown: dict[str, Any] = {"parent_run_id": told.get("parent_run_id")}
        for name, value in told.items():
            if name == "inputs":
                shown[name] = self._payloads.shown(value)
            elif isinstance(value, str):
                shown[name] = self._payloads.text(value)
        return shown

    def error(self, error: BaseException) -> tuple[Literal["DEFAULT", "ERROR"], str]:
        """The level and the status text. An interrupt is none."""
        level: Literal["DEFAULT", "ERROR"] = "DEFAULT" if isinstance(error, GraphBubbleUp) else "ERROR"
        kind = type(error).__name__
        if self._payloads.kind == "none":
            return level, kind
        try:
            said = str(error)
        except Exception:
            return level, kind
        return level, self._payloads.text(f"{kind}: {said}" if said else kind)


def _prompt(given: Any) -> Any:
    """As it is, since the stock handler leaves its contents out; but not what would make it leave the call out."""
    try:
        links = isinstance(given.name, str) and isinstance(given.version, int) and not given.is_fallback
    except Exception:
        return None
    return given if links else None
