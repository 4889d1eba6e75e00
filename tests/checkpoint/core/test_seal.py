"""The seal: what is sealed is read by those with the key, where it belongs, as it was; or not at all."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_guard.checkpoint.core.seal import SEALED, Seal, identity
from langgraph_guard.errors import ConfigError, CorruptCheckpoint

KEY = bytes(range(200, 232))
OTHER = bytes(range(100, 132))
SECRET = b"sk-canary, the account number and the diagnosis"
ME = identity("tenant", "thread", 1)


@given(st.binary(), st.binary())
def test_what_was_sealed_comes_back(data: bytes, owner: bytes) -> None:
    """Any bytes, for any owner."""
    seal = Seal(KEY)
    assert seal.open(seal.seal(data, owner), owner, "a value") == data


def test_sealed_bytes_tell_nothing_but_their_length() -> None:
    """Two of the same are not alike, so nobody sees that a value came back to what it was."""
    seal = Seal(KEY)
    one, other = seal.seal(SECRET, ME), seal.seal(SECRET, ME)
    assert one != other
    assert SECRET[:8] not in one
    assert len(one) == len(other) == len(SECRET) + 2 + 2 + 1 + 12 + 16


def test_every_byte_counts() -> None:
    """A flipped bit anywhere, in the header too, and a missing byte anywhere are found."""
    seal, sealed = Seal(KEY), Seal(KEY).seal(SECRET, ME)
    altered = [sealed[:at] + bytes([sealed[at] ^ 1 << at % 8]) + sealed[at + 1 :] for at in range(len(sealed))]
    cut = [sealed[:at] for at in range(len(sealed))]
    for wrong in (*altered, *cut, sealed + b"\0", sealed + sealed, b"", SEALED):
        with pytest.raises(CorruptCheckpoint):
            seal.open(wrong, ME, "a value")


@pytest.mark.parametrize(
    "elsewhere",
    [
        identity("tenant", "other thread", 1),
        identity("other tenant", "thread", 1),
        identity("tenant", "thread", 2),
        identity("tenant", "thread", "1"),
        identity("tenant", "thread"),
        b"",
    ],
)
def test_what_was_moved_is_refused(elsewhere: bytes) -> None:
    """LangGraph's EncryptedSerializer takes another thread's state for its own."""
    with pytest.raises(CorruptCheckpoint, match="moved here"):
        Seal(KEY).open(Seal(KEY).seal(SECRET, ME), elsewhere, "a value")


def test_another_key_opens_nothing() -> None:
    """With the same id or another one, the error tells which, and nothing of what was sealed."""
    sealed = Seal(KEY).seal(SECRET, ME)
    for seal, problem in [
        (Seal(OTHER), "another key"),
        (Seal(OTHER, key_id="2"), "key '1', which this saver does not have"),
    ]:
        with pytest.raises(CorruptCheckpoint, match=problem) as caught:
            seal.open(sealed, ME, "channel 'x'")
        assert caught.value.where == "channel 'x'"
        assert b"canary" not in str(caught.value).encode()


def test_an_old_key_reads_and_the_new_one_writes() -> None:
    """A key can be changed while the store is in use."""
    old = Seal(OTHER, key_id="2026")
    new = Seal(KEY, key_id="2027", old_keys={"2026": OTHER})
    assert new.open(old.seal(SECRET, ME), ME, "a value") == SECRET
    with pytest.raises(CorruptCheckpoint):
        old.open(new.seal(SECRET, ME), ME, "a value")


def test_the_key_id_cannot_be_exchanged() -> None:
    """It is authenticated too, so a value cannot be made to look as if it were sealed under another key."""
    seal = Seal(KEY, key_id="a", old_keys={"b": KEY})
    sealed = seal.seal(SECRET, ME)
    with pytest.raises(CorruptCheckpoint):
        seal.open(sealed[:4] + b"b" + sealed[5:], ME, "a value")


def test_what_is_not_sealed_is_refused() -> None:
    """Otherwise whoever can write to the store need not break the seal: it is enough to leave it away."""
    for plain in (b"\xc0", b"", b"\xc1\x00\x00\x07msgpack\xc0", b"\xc1"):
        with pytest.raises(CorruptCheckpoint, match="not sealed"):
            Seal(KEY).open(plain, ME, "a value")


def test_what_is_not_sealed_is_read_while_a_store_is_moved() -> None:
    """A store that was filled without a key can get one; the door closes by itself."""
    now, day = datetime.now(UTC), timedelta(days=1)
    assert Seal(KEY, migration_until=now + day).open(b"\xc0", ME, "a value") == b"\xc0"
    with pytest.raises(CorruptCheckpoint, match="not sealed"):
        Seal(KEY, migration_until=now - day).open(b"\xc0", ME, "a value")


@pytest.mark.parametrize("wrong", [datetime(2030, 1, 1), "2030-01-01", 1.0, True])  # noqa: DTZ001 - the naive one is wrong
def test_the_end_of_a_migration_is_a_moment(wrong: Any) -> None:
    """A naive datetime is another moment on each server."""
    with pytest.raises(ConfigError, match="migration_until"):
        Seal(KEY, migration_until=wrong)


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        base64.b64encode(KEY),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("=") + "\n",
    ],
)
def test_a_key_is_32_bytes_or_base64_of_them(key: Any) -> None:
    """As secret stores and files hand it out."""
    assert Seal(KEY).open(Seal(key).seal(SECRET, ME), ME, "a value") == SECRET


@pytest.mark.parametrize(
    "key",
    [
        b"",
        "",
        b"short",
        KEY[:31],
        KEY + b"x",
        base64.b64encode(KEY[:31]),
        base64.b64encode(KEY + b"x").decode(),
        "a passphrase of any length",
        b"correct horse battery staple 123",
        "not base64 !" * 4,
        "é" * 44,
        b"\0" * 32,
        b"\xff\xfe" * 16,
        base64.b64encode(b"correct horse battery staple 123"),
        None,
        5,
        bytearray(KEY),
    ],
    ids=repr,
)
def test_what_is_no_key_is_refused_at_once(key: Any) -> None:
    """A password that is cut to length is guessed within the hour. The error does not repeat it."""
    with pytest.raises(ConfigError, match="key") as caught:
        Seal(key)
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize(
    "terms",
    [
        {"key_id": ""},
        {"key_id": "a b"},
        {"key_id": "x" * 33},
        {"key_id": 1},
        {"old_keys": {"": OTHER}},
        {"old_keys": {"1": OTHER}},
    ],
    ids=repr,
)
def test_ids_of_keys_are_short_names(terms: dict[str, Any]) -> None:
    """They stand in every value; two keys of one id would be told apart by luck."""
    with pytest.raises(ConfigError, match=r"key_id|old_keys"):
        Seal(KEY, **terms)


def test_a_seal_does_not_show_its_key() -> None:
    """It stands in the repr of a saver, which stands in logs."""
    seal = Seal(KEY, old_keys={"0": OTHER})
    shown = repr(seal) + str(seal) + repr(seal.seal)
    assert repr(seal) == "Seal(key_id='1')"
    assert all(repr(secret)[2:10] not in shown for secret in (KEY, OTHER, seal.name_key))


def test_the_key_for_names_is_another_one() -> None:
    """Names of blobs are seen by everyone; they must not be a way to the key, and stay as long as the key stays."""
    assert Seal(KEY).name_key == Seal(KEY, key_id="x", old_keys={"0": OTHER}).name_key
    assert len({KEY, OTHER, Seal(KEY).name_key, Seal(OTHER).name_key}) == 4
    assert len(Seal(KEY).name_key) == 32


def test_the_format_is_what_it_was() -> None:
    """Bytes sealed by version 1 are read for ever."""
    stored = bytes.fromhex("c102010131" + "00" * 12) + bytes.fromhex(PINNED)
    assert Seal(KEY).open(stored, identity("t", 1, b"x"), "a value") == b"pinned"


PINNED = "36b70e4ed2cdae7726b1ace60ecfb00bcb7d81d0f445"


parts = st.lists(st.text() | st.binary() | st.integers(), max_size=4)


@given(parts, parts)
def test_different_parts_make_different_identities(one: list[Any], other: list[Any]) -> None:
    """Thread "a" in namespace "b:c" is not thread "a:b" in namespace "c"; 1 is not "1" and not b"1"."""
    alike = one == other and [*map(type, one)] == [*map(type, other)]
    assert (identity(*one) == identity(*other)) == alike


@given(parts, parts)
def test_an_identity_has_no_seams(one: list[Any], other: list[Any]) -> None:
    """Where one part ends and the next begins cannot be shifted."""
    whole = [*one, *other]
    for at in range(len(whole)):
        merged = [*whole[:at], identity(*whole[at:])]
        assert identity(*merged) != identity(*whole)


@pytest.mark.parametrize("wrong", [None, 1.0, True, ("a",)])
def test_an_identity_is_made_of_plain_parts(wrong: Any) -> None:
    """`None` and "None" would be the same thing to `str`."""
    with pytest.raises(TypeError):
        identity("a", wrong)


WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None
from langgraph_guard.checkpoint.core.seal import Seal
try: Seal(bytes(range(200, 232)))
except Exception as error: print(type(error).__name__, error)
"""


def test_a_missing_package_is_named_with_the_way_to_get_it() -> None:
    """The extra is optional; who needs it learns its name at construction, not in the tenth superstep."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_CRYPTOGRAPHY], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ConfigError key: ")
    assert 'pip install "langgraph-guard-pack[crypto]"' in done.stdout


def test_no_assertion_guards_anything() -> None:
    """`python -O` drops assertions; LangGraph's cipher lets any cipher's name pass there."""
    script = (
        "from langgraph_guard.checkpoint.core.seal import Seal\n"
        "s = Seal(bytes(range(200, 232)))\n"
        "for d in (b'x', s.seal(b'x', b'a')):\n"
        "    try: s.open(d, b'b', 'w'); print('opened')\n"
        "    except Exception as e: print(type(e).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == ["CorruptCheckpoint"] * 2
