"""Scores and media leave by threads of the SDK's own: what they lose is counted, and told once.

They are wrapped where they are about to send, since the SDK says nowhere else how much of what it gave up.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from langgraph_guard.observability.delivery import Delivery, heard
from langgraph_guard.observability.langfuse import private

if TYPE_CHECKING:
    from langfuse import Langfuse


def watch(client: Langfuse, delivery: Delivery) -> None:
    """From now on, and in the children of this process, whose threads the SDK makes anew."""
    weak = weakref.ref(private.resources(client))

    def wrap() -> None:
        for consumer in private.score_consumers(weak()):
            consumer._upload_batch = _counted(consumer._upload_batch, delivery)

    wrap()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=wrap)
    if (media := private.media_manager(client)) is not None:
        media.process_next_media_upload = _overheard(media.process_next_media_upload, delivery)


def _counted(upload: Callable[[Sequence[Any]], None], delivery: Delivery) -> Callable[[Sequence[Any]], None]:
    """`upload`, which raises when it has tried often enough, and logs what was refused of a batch that was taken."""

    def counted(batch: Sequence[Any]) -> None:
        with heard() as said:
            try:
                upload(batch)
            except Exception as error:
                delivery.lost("scores", len(batch), getattr(error, "status_code", None) or error)
        if refused := sum(map(_refused, said.said)):
            delivery.lost("scores", refused, "of its scores a part is refused")

    return counted


def _refused(said: object) -> int:
    """As the SDK says it: so many are accepted, so many refused, of so many, and why."""
    return said[1] if isinstance(said, tuple) and len(said) == 4 and isinstance(said[1], int) else 0


def _overheard(upload: Callable[[], None], delivery: Delivery) -> Callable[[], None]:
    """`upload`, which logs what went wrong, and with it addresses that whoever knows them may write to."""

    def overheard() -> None:
        with heard() as said:
            upload()
        if said.said:
            delivery.lost("media", 1, said.why)

    return overheard
