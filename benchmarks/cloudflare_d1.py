"""Cloudflare's own saver, for D1, and a D1 that it runs on: SQLite behind the one call that the saver makes.

The simulator's D1 has no such call in its REST API (`/query`, with nulls among the parameters), so a front of ours
executes the SQL and answers as D1 does. Requests and rows are counted there.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from importlib.util import find_spec
from typing import Any, Final

import httpx

from benchmarks.cloudflare_counts import FIVE, chain, thread
from benchmarks.cloudflare_prices import Operations

D1: Final = "langgraph-checkpoint-cloudflare-d1"


def missing() -> str | None:
    """Why the peer cannot be counted here."""
    return None if find_spec("langgraph_checkpoint_cloudflare_d1") else f"{D1} is not here: pip install {D1}"


class LocalD1:
    """One database. Counts requests, inserts and rows that are read."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect(":memory:")
        self._rows.row_factory = sqlite3.Row
        self.requests = self.inserts = self.read = 0

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def counted(self, runs: int = 1) -> Operations:
        """Of each run."""
        totals = {"requests": self.requests, "inserts": self.inserts, "rows read": self.read}
        return {name: total / runs for name, total in totals.items()}

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests = self.inserts = self.read = 0

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        asked = json.loads(request.content)
        result = [self._done(asked["sql"], asked["params"])]
        return httpx.Response(200, json={"success": True, "errors": [], "messages": [], "result": result})

    def _done(self, sql: str, params: list[Any]) -> dict[str, Any]:
        if not params:
            self._rows.executescript(sql)
            return {"results": [], "success": True, "meta": {}}
        done = self._rows.execute(sql, params)
        rows = [dict(row) for row in done.fetchall()]
        self.inserts += max(done.rowcount, 0)
        self.read += len(rows)
        return {"results": rows, "success": True, "meta": {"changes": max(done.rowcount, 0)}}


def invokes(runs: int, steps: int = FIVE) -> Operations:
    """What an invoke asks of D1, when so many run at once. Making the tables is not counted."""
    return asyncio.run(_invokes(runs, steps, last=False))


def latest() -> Operations:
    """What it asks to see the latest state of a thread."""
    return asyncio.run(_invokes(1, FIVE, last=True))


async def _invokes(runs: int, steps: int, *, last: bool) -> Operations:
    from langgraph_checkpoint_cloudflare_d1 import AsyncCloudflareD1Saver

    d1, saver = LocalD1(), AsyncCloudflareD1Saver("account", "database", "token")
    await saver.client.aclose()
    saver.client = httpx.AsyncClient(transport=d1.transport)
    await saver.setup()
    d1.forget()
    graph = chain(saver, steps)
    await asyncio.gather(*(graph.ainvoke({"items": []}, thread(number)) for number in range(runs)))
    if last:
        d1.forget()
        assert await saver.aget_tuple(thread(0)) is not None
    await saver.client.aclose()
    return d1.counted(runs)
