"""What Cloudflare bills for operations that were counted. Pure.

Prices are those of the Workers Paid plan beyond what it includes, as the documentation gave them in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Operations: TypeAlias = Mapping[str, float]
"""How many of each; of one superstep, say."""

USD_PER_MILLION: Final[Operations] = {
    "KV write": 5.0,
    "KV list": 5.0,
    "KV delete": 5.0,
    "KV read": 0.5,
    "Worker request": 0.30,
    "object request": 0.15,
    "row written": 1.0,
    "row read": 0.001,
}

ROWS_PER_KEY: Final = 2
"""In an object of the gateway: the entry and its value; workerd's `rowsWritten` says so."""

ROWS_PER_INSERT: Final = 2
"""In D1, of a table whose key is text: the row, and the index of the key; its `meta.rows_written` says so."""

API_REQUESTS_PER_MINUTE: Final = 1_200 / 5
"""Of one API token, everything counted. A gateway Worker has no such limit."""

ASSUMED: Final = f"""\
Prices: the Workers Paid plan. Its 5 USD a month, and what they include (10 million reads, a million of each other
operation of KV, 50 million rows written), are left out: a figure is the price of what comes beyond.
USD per million: {", ".join(f"{name} {usd:g}" for name, usd in USD_PER_MILLION.items())}.
Counted as an operation of KV: a key that is written, a value that is read, a page that is listed; how many of them
travel in one request does not matter.
The gateway over Durable Objects: a Worker request for each request, an object request for each thread in it,
{ROWS_PER_KEY} rows for each key of up to 1 MiB. D1: {ROWS_PER_INSERT} rows for each insert.
The graph: one task per superstep, which writes to one channel. More tasks write more.
Left out: storage (KV 0.50, objects 0.20, D1 0.75 USD a GB-month), the Worker's CPU time, and the time that objects are
awake, which depend on how much is kept and how long it runs.
D1 runs on SQLite behind a front of ours, which speaks the REST API's /query; requests and inserts are counted there."""
"""What a figure in USD rests on."""


def usd(operations: Operations) -> float:
    """The bill for a million times these operations, in USD."""
    return sum(USD_PER_MILLION[name] * count for name, count in operations.items())


def by_rest(counted: Operations) -> Operations:
    """What Workers KV bills for requests as `cloudflare_counts` counts them."""
    return {"KV write": counted["keys written"], "KV list": counted["lists"], "KV read": counted["values read"]}


def by_gateway(counted: Operations) -> Operations:
    """The same through a gateway Worker over KV."""
    return {**by_rest(counted), "Worker request": counted["requests"]}


def by_objects(counted: Operations) -> Operations:
    """The same through a gateway Worker over Durable Objects."""
    return {
        "Worker request": counted["requests"],
        "object request": counted["object requests"],
        "row written": ROWS_PER_KEY * counted["keys written"],
        "row read": counted["values read"],
    }


def by_d1(counted: Operations) -> Operations:
    """What D1 bills for the statements of its saver."""
    return {"row written": ROWS_PER_INSERT * counted["inserts"], "row read": counted["rows read"]}
