"""`RedisSaver` keeps what every checkpointer promises: on one server all of it, elsewhere what could differ there.

The whole of it everywhere is in `test_contract_everywhere.py`, which is slow.
"""

from __future__ import annotations

from langgraph_guard.testing.contracts.saver import SaverContract
from langgraph_guard.testing.contracts.saver.changes import Lists
from langgraph_guard.testing.contracts.saver.concurrency import Concurrency
from langgraph_guard.testing.contracts.saver.copying import Copying
from langgraph_guard.testing.contracts.saver.deletion import Deletion, Whole
from langgraph_guard.testing.contracts.saver.listing import Many, MixedListing
from langgraph_guard.testing.contracts.saver.reading import Metadata
from tests.checkpoint.redis import places


class RedisContract(places.OnRedis, SaverContract):
    """Each test has a prefix of its own on one server."""


class TestRedisSaver(RedisContract):
    """As it comes."""


class Sample(Lists, Copying, Deletion, Whole, Concurrency, Many, MixedListing, Metadata):
    """What a server, a client or an option could change: elements, what moves, what goes, and what happens at once."""

    trials = 2


class TestSealed(places.Sealed, Sample):
    """Encrypted and compressed."""


class TestStrict(places.Strict, Sample):
    """Every element compared."""


class TestExpiring(places.Expiring, Sample):
    """With an expiry that does not come."""


class TestWithAUsersClient(places.WithAUsersClient, Sample):
    """Which answers in another form."""


class TestEncrypted(places.Encrypted, Sample):
    """By LangGraph's serializer."""


class TestOnACluster(places.OnACluster, Sample):
    """By the blocking client."""


class TestOnAClusterByAsyncio(places.OnAClusterByAsyncio, Sample):
    """By the other."""


class TestBehindSentinels(places.BehindSentinels, Sample):
    """Who have nothing to do here."""
