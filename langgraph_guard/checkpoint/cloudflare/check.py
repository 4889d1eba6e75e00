"""Is this namespace fit to keep threads? `saver.check()` says so in words: what is wrong, and what to do.

    report = saver.check()
    print(report)                    # the worst first
    report.raise_if_unusable()

Four requests, five where `visibility=0` is put to the test, each billed as one operation: a page is listed, and a
scratch key is written, read and deleted. If the last one gets lost, the key expires after a minute. No list of threads
has it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_guard.checkpoint.cloudflare import findings
from langgraph_guard.checkpoint.cloudflare.commands import DeleteMany, GetMany, KVFlow, ListKeys, PutMany, Request
from langgraph_guard.checkpoint.cloudflare.delivery import STORE
from langgraph_guard.checkpoint.cloudflare.link import Link
from langgraph_guard.checkpoint.cloudflare.store import Store
from langgraph_guard.checkpoint.cloudflare.transport import Pair, Refused
from langgraph_guard.checks import Finding, Report
from langgraph_guard.errors import StoreError, StoreRefused

__all__ = ["Report", "inspect"]

PATIENCE: Final = 5.0
"""Seconds that a check waits for a rate limit."""

A_MINUTE: Final = 60
"""Seconds; the shortest that a key can live."""

LEAST: Final = 10
"""Keys of the smallest page."""

FORBIDDEN: Final = 403


def inspect(store: Store, link: Link) -> KVFlow[Report]:
    """Look at everything. After an error, what builds on it is left out. `link`: what the flow is run by."""
    trial = _Trial(store)
    try:
        yield from trial.run()
    except StoreError as error:  # nothing good is said of what does not answer, or not as it should
        return Report((*trial.found, findings.failed(error, link.url, link.pace.left(store.now()))), STORE, error)
    transport = findings.transport(link.url)
    heard = [findings.clock(link.pace.clock.ahead, link.url), findings.limits(link.pace.left(store.now()))]
    return Report((*([transport] if transport else []), *trial.found, *heard), STORE)


@dataclass
class _Trial:
    """Every call once, on a key that no thread has."""

    store: Store
    found: list[Finding] = field(default_factory=list)
    _refused: set[str] = field(default_factory=set)
    _key: str = field(init=False)

    def __post_init__(self) -> None:
        self._key = f"{self.store.keys.root}check/{secrets.token_hex(8)}"

    def run(self) -> KVFlow[None]:
        yield from self._try("list", ListKeys(self.store.keys.root, LEAST))
        yield from self._try("write", PutMany([Pair(self._key, self._key, None, A_MINUTE)]))
        if "write" not in self._refused:
            yield from self._read_and_delete()
        self.found.append(findings.permissions(self._refused))

    def _read_and_delete(self) -> KVFlow[None]:
        try:
            yield from self._read()
        except StoreError:
            yield from self._delete()
            raise
        yield from self._delete()

    def _read(self) -> KVFlow[None]:
        """It need not be visible yet, unless the store is said to be strongly consistent."""
        values = yield from self._try("read", GetMany([self._key]))
        value = None if values is None else values[self._key]
        if value not in (None, self._key):
            self.found.append(findings.STRANGE)
        elif self.store.options.visibility == 0 and not self._refused:
            page = yield from self._try("list", ListKeys(self._key, LEAST))
            listed = page is not None and any(each.name == self._key for each in page.keys)
            self.found.append(findings.seen(listed and value is not None))

    def _delete(self) -> KVFlow[None]:
        if (yield from self._try("delete", DeleteMany([self._key]))):
            self.found.append(findings.LEFT)

    def _try(self, name: str, request: Request) -> KVFlow[Any]:
        """The reply; `None` where the token may not do this."""
        try:
            (reply,) = yield [request]
        except StoreRefused as error:
            if not _is_forbidden(error):
                raise
            self._refused.add(name)
            return None
        return reply


def _is_forbidden(error: StoreRefused) -> bool:
    """By Cloudflare, in its own words: another server's 403 says nothing of a token's rights."""
    cause = error.__cause__
    return isinstance(cause, Refused) and cause.status == FORBIDDEN and bool(cause.codes)
