"""What version 1 of the format wrote can be read for ever, and what is written is still version 1.

`golden_v1.json` is never written again. When one of these tests fails, the code is wrong, not the file: a change of the
format is a new version, with a file of its own beside this one.
"""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from contextlib import suppress

import pytest

from langgraph_guard.errors import CorruptCheckpoint
from langgraph_guard.testing.contracts.saver.harness import about, anywhere, at, uid
from langgraph_guard.testing.contracts.saver.same import agree
from tests.checkpoint.cloudflare import fronts, golden
from tests.checkpoint.cloudflare.bundled import BundledModel

THREADS = ("t", "user:7/é")


def test_what_is_written_is_still_version_1() -> None:
    """Keys, their metadata, and bytes; what is sealed begins with a random number, so of that the keys."""
    written, then = golden.written(), golden.stored()
    assert {key: told for key, told in written.items() if not key.startswith("sealed")} == {
        key: told for key, told in then.items() if not key.startswith("sealed")
    }
    assert {key: told["s"] for key, (_, told) in written.items() if told} == {
        key: told["s"] for key, (_, told) in then.items() if told
    }


@pytest.mark.parametrize("which", [0, 1], ids=["plain", "sealed"])
def test_what_version_1_wrote_can_be_read(which: int) -> None:
    """Values, metadata, parents and writes, in every namespace, newest first."""
    saver = [*golden.savers(golden.restored())][which]
    model = BundledModel()
    golden.write(model)
    for thread in THREADS:
        found, expected = [*saver.list(anywhere(thread))], [*model.list(anywhere(thread))]
        assert [each.config for each in found] == [each.config for each in expected]
        for mine, theirs in zip(found, expected, strict=True):
            agree(mine, theirs)
            agree(saver.get_tuple(theirs.config), theirs)
    assert {each.config["configurable"]["thread_id"] for each in saver.list(None)} == set(THREADS)


def test_runs_of_version_1_are_deleted() -> None:
    """Their index is a part of the format, too."""
    saver, _ = golden.savers(golden.restored())
    saver.delete_for_runs(["run/1"])
    assert [each.checkpoint["id"] for each in saver.list(at())] == [uid(2)]


def test_keys_are_what_the_specification_says() -> None:
    """One of each kind, spelled out."""
    plain = {key for key in golden.stored() if key.startswith("lgg1")}
    first = "cfcfcfcfcfcfcfced2cfcfcfcfd2c9cfcfcfd2c7cfcfcfd2cfcfcfcfcfcfcfcfcfcfcfcf~"
    assert {key for key in plain if f"/{first}/" in key or "/r/" in key} == {
        f"lgg1/=/t/t/=/{first}/c{'f' * 21}e9",
        f"lgg1/=/t/t/=/{first}/w0000000000000000000002",
        "lgg1/=/r/run=2F1/t/=",
    }


@pytest.mark.parametrize("damage", ["2.AAAA", "1.!!!!", "1.AAAA", "1.", ""])
def test_a_value_that_is_none_is_an_error(damage: str) -> None:
    """A later release's, or a damaged one; never a wrong state."""
    front = golden.restored()
    (key,) = [key for key in fronts.names(front) if key.startswith("lgg1") and key.endswith("fffffb9")]
    fronts.transport(front).put_many([golden.Pair(key, damage, {"s": 1})])
    with pytest.raises(CorruptCheckpoint):
        fronts.saver(front).get_tuple(at())


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_value_is_an_error_of_ours_or_another_value(seed: int) -> None:
    """Bytes that change, are missing or come in: no `TypeError` from deep inside comes out of a read."""
    front, chance = golden.restored(), random.Random(seed)
    stored = {key: told for key, told in golden.stored().items() if key.startswith("lgg1") and "/r/" not in key}
    for _ in range(60):
        key = chance.choice(sorted(stored))
        fronts.transport(front).put_many([golden.Pair(key, _damaged(stored[key][0], chance), {"s": 1})])
        with suppress(CorruptCheckpoint):
            [*fronts.saver(front).list(None)]
        fronts.transport(front).put_many([golden.Pair(key, stored[key][0], {"s": 1})])


def _damaged(text: str, chance: random.Random) -> str:
    data = bytearray(b64decode(text.removeprefix("1.")))
    at = chance.randrange(len(data))
    data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return f"1.{b64encode(data).decode()}"


def test_a_sealed_value_opens_at_its_own_key_only() -> None:
    """Who can write to the namespace could otherwise turn a thread back, or give one user's state to another."""
    front = fronts.front()
    for number in (1, 2):
        fronts.saver(front, seal=golden.SEAL).put(at(), fronts.checkpoint(uid(number), n=number), about(number), {})
    newer, older = fronts.names(front)
    found = fronts.transport(front).get_one(older)
    assert found is not None
    fronts.transport(front).put_many([golden.Pair(newer, found, {"s": 1})])
    with pytest.raises(CorruptCheckpoint, match="moved here"):
        fronts.saver(front, seal=golden.SEAL).get_tuple(at())


def test_a_value_of_another_thread_is_an_error() -> None:
    """Without a seal, too: names are compared."""
    front = golden.restored()
    told = golden.stored()
    (other,) = [key for key in told if key.startswith("lgg1") and "/user" in key]
    (key,) = [key for key in told if key.startswith("lgg1") and key.endswith("fffffb9")]
    fronts.transport(front).put_many([golden.Pair(key, told[other][0], {"s": 1})])
    with pytest.raises(CorruptCheckpoint, match="another thread"):
        fronts.saver(front).get_tuple(at())
