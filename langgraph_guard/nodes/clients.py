"""What the clients behind chat models do behind the meter's back, turned off.

By shape and not by class, so that no client library is imported: OpenAI's and Anthropic's clients, and those generated
like them, have `max_retries` and `with_options`.
"""

from __future__ import annotations

from typing import Any, Final

from langchain_core.language_models import BaseChatModel

CLIENTS: Final = ("root_client", "root_async_client", "client", "async_client", "_client", "_async_client")
"""Where chat models keep their clients, or a resource of one."""


def taken_over(llm: BaseChatModel) -> tuple[BaseChatModel, int]:
    """`llm` with one attempt per call and usage in its streams, and how often its client would have tried again.

    Hidden attempts would share a reservation, and a stream that does not say what it cost costs all that was reserved.
    """
    found = {name: client for name in CLIENTS if (client := getattr(llm, name, None)) is not None}
    retries = [owner.max_retries for client in found.values() if (owner := _owner(client))]
    update = {name: _once(client) for name, client in found.items() if _owner(client)} if any(retries) else {}
    if "stream_usage" in type(llm).model_fields and vars(llm).get("stream_usage") is None:
        update["stream_usage"] = True
    return (llm.model_copy(update=update) if update else llm), max(retries, default=0)


def _owner(client: Any) -> Any:
    """The client that `client` is, or is a resource of, if it is one that tries again."""
    for each in (client, getattr(client, "_client", None)):
        if hasattr(each, "with_options") and isinstance(getattr(each, "max_retries", None), int):
            return each
    return None


def _once(client: Any) -> Any:
    owner = _owner(client)
    once = owner.with_options(max_retries=0)
    return once if owner is client else type(client)(once)
