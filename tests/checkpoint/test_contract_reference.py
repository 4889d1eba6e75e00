"""The saver contract, held by savers that are known to be right: else a failure would say nothing of the saver."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.testing.contracts.saver import STORED_TYPES, CoreContract, SaverContract
from langgraph_guard.testing.contracts.saver.conformance import CAPABILITIES
from langgraph_guard.testing.contracts.saver.model import ModelSaver


class TestInMemorySaver(CoreContract):
    """LangGraph's own; what it does not implement, or does otherwise than Postgres's, is left out."""

    capabilities = CAPABILITIES - {"delete_for_runs", "copy_thread", "prune"}

    def make_saver(self) -> InMemorySaver:
        return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=STORED_TYPES))

    def another(self, saver: Any) -> InMemorySaver:
        other = InMemorySaver(serde=saver.serde)
        other.storage, other.writes, other.blobs = saver.storage, saver.writes, saver.blobs
        return other


class TestModelSaver(SaverContract):
    """The same with the gaps filled: what a saver is compared with must itself be what is promised."""

    def make_saver(self) -> ModelSaver:
        return ModelSaver()

    def another(self, saver: Any) -> ModelSaver:
        return ModelSaver(saver)

    def of_tenant(self, saver: Any, tenant: str) -> ModelSaver:
        """Tenants of a model have nothing in common, not even a store."""
        return ModelSaver()


def test_no_promise_hides_another_of_the_same_name() -> None:
    """Of two tests with one name in two parts of the contract, one would never run."""
    parts = [part for part in SaverContract.__mro__ if part.__module__.startswith(CoreContract.__module__)]
    names = [name for part in parts for name in vars(part) if name.startswith("test_")]
    assert sorted(names) == sorted(set(names))
