"""`CloudflareKVSaver` keeps what every checkpointer promises."""

from __future__ import annotations

from langgraph_guard.testing.contracts.saver.concurrency import Concurrency
from langgraph_guard.testing.contracts.saver.copying import Copying
from langgraph_guard.testing.contracts.saver.deletion import Deletion, Runs, Whole
from langgraph_guard.testing.contracts.saver.listing import Listing, MixedListing
from langgraph_guard.testing.contracts.saver.pruning import Pruning
from langgraph_guard.testing.contracts.saver.reading import Metadata, Reading
from langgraph_guard.testing.contracts.saver.writes import Writes
from tests.checkpoint.cloudflare import places


class TestOnFake(places.OnFake, places.BundledContract):
    """In memory, strongly consistent."""

    trials = 3


class TestSealed(places.Sealed, Copying, Pruning):
    """Encrypted and compressed: what is written anew at another key must be sealed for that."""


class Sample(
    Writes,
    Reading,
    Metadata,
    Listing,
    MixedListing,
    Deletion,
    Copying,
    Pruning,
    Runs,
    Whole,
    Concurrency,
    places.BundledDelta,
):
    """What lateness could change."""


class TestInWeather(places.InWeather, Sample):
    """In memory, and as late as it gets."""

    trials = 2
