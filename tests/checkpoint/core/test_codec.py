"""Frames: a value's bytes say themselves how they are to be read, and are read in no other way."""

from __future__ import annotations

import pickle
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.base import maybe_add_typed_methods
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_guard.checkpoint.core.codec import Codec
from langgraph_guard.checkpoint.core.seal import Seal
from langgraph_guard.checkpoint.core.serde import StrictSerializer, Unstorable
from langgraph_guard.errors import BlockedType, CheckpointTooLarge, ConfigError, CorruptCheckpoint, StoreError
from tests.checkpoint.core.kinds import Note, Unlisted

SEAL = Seal(bytes(range(200, 232)))
STRICT = StrictSerializer([Note])
CANARY = "sk-canary"


class Reversing:
    """Somebody's own serializer: it keeps LangGraph's type tag, and what it writes is no msgpack."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        tag, data = STRICT.dumps_typed(obj)
        return tag, data[::-1]

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return STRICT.loads_typed((data[0], data[1][::-1]))


class Derived(JsonPlusSerializer):
    """The same, derived from LangGraph's."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return Reversing().dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return Reversing().loads_typed(data)


class Pickling:
    def dumps(self, obj: Any) -> bytes:
        return pickle.dumps(obj)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data)


def codec(serde: Any = STRICT, **options: Any) -> Codec:
    """A codec with one serializer."""
    return Codec(lambda: serde, **options)


# The format


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, "c0"),
        (True, "c3"),
        ("a", "a161"),
        (b"a", "c40161"),
        ([1, [2]], "92019102"),
        ({"k": 1}, "81a16b01"),
        (bytearray(b"a"), "c1000009" + b"bytearray".hex() + "61"),
        ({1}, "d800" + "93a86275696c74696e73a37365749101"),
    ],
    ids=repr,
)
def test_a_plain_value_is_bare_msgpack(value: Any, stored: str) -> None:
    """Bytes that were stored once are read for ever; these are pinned."""
    assert codec().pack(value, b"").hex() == stored
    assert codec().unpack(bytes.fromhex(stored), b"", "a value") == value


def test_another_serializers_value_has_its_tag_before_it() -> None:
    """C1 00, the length of the tag in two bytes, the tag, and what the serializer wrote."""
    assert codec(Reversing()).pack("ab", b"") == b"\xc1\x00\x00\x07msgpack" + b"ba\xa2"


def test_a_compressed_value_is_marked() -> None:
    """C1 01 and zlib; a large value that a seal is put on is compressed first."""
    value = "a" * 1_000
    packed = codec(compress=True).pack(value, b"")
    assert packed[:2] == b"\xc1\x01"
    assert zlib.decompress(packed[2:]) == b"\xda\x03\xe8" + value.encode()
    assert SEAL.open(codec(compress=True, seal=SEAL).pack(value, b"me"), b"me", "a value") == packed


def test_what_gets_no_smaller_is_left_alone() -> None:
    """A short value, or one that is compressed already."""
    import random

    noise = random.Random(1).randbytes(2_000)
    for value in ("a" * 500, noise):
        assert codec(compress=True).pack(value, b"") == codec().pack(value, b"")


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        (codec(), codec(compress=True)),
        (codec(compress=True), codec()),
        (codec(compress=True, seal=SEAL), codec(seal=SEAL)),
        (codec(JsonPlusSerializer()), codec()),
        (codec(), codec(JsonPlusSerializer())),
    ],
)
def test_what_was_written_before_a_change_of_terms_is_read_after_it(writer: Codec, reader: Codec) -> None:
    """Compression can be switched on and off, and LangGraph's serializer exchanged for the strict one."""
    value = ["text" * 200, HumanMessage("h", id="1"), bytearray(b"a")]
    packed = [writer.pack_element(each, b"me") for each in value]
    assert reader.unpack_elements(packed, lambda _: b"me", "a list") == value


# Elements


class Counting(StrictSerializer):
    """Counts how often it is asked to read."""

    reads = 0

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.reads += 1
        return super().loads_typed(data)


@pytest.mark.parametrize("count", [0, 1, 14, 15, 16, 65_534, 65_535, 65_536])
def test_a_list_is_decoded_in_one_go(count: int) -> None:
    """However long it is: the header of the array has three forms."""
    serde = Counting()
    elements = list(range(count))
    packed = [codec().pack_element(each, b"") for each in elements]
    assert codec(serde).unpack_elements(packed, lambda _: b"", "a list") == elements
    assert serde.reads == (1 if count else 0)


def test_sealed_elements_are_decoded_in_one_go_too() -> None:
    """Each is opened by itself, with its own identity, and then they are read together."""
    serde = Counting()
    packed = [codec(seal=SEAL).pack_element(f"text {at}", b"%d" % at) for at in range(50)]
    found = codec(serde, seal=SEAL).unpack_elements(packed, lambda at: b"%d" % at, "a list")
    assert (found, serde.reads) == ([f"text {at}" for at in range(50)], 1)


def test_elements_cannot_change_places_under_a_seal() -> None:
    """Nor can one be used twice: a conversation's order is what it says."""
    packed = [codec(seal=SEAL).pack_element(at, b"%d" % at) for at in range(3)]
    for moved in ([packed[1], packed[0], packed[2]], [packed[0]] * 3):
        with pytest.raises(CorruptCheckpoint, match="moved here"):
            codec(seal=SEAL).unpack_elements(moved, lambda at: b"%d" % at, "a list")


@pytest.mark.parametrize(
    "serde", [Reversing(), Derived(), maybe_add_typed_methods(Pickling())], ids=lambda serde: type(serde).__name__
)
def test_any_serializer_will_do(serde: Any) -> None:
    """The saver's `serde` can be assigned. One that says "msgpack" and means something else is taken at its word."""
    value = [None, b"\x91", bytearray(b"b"), "c" * 600, [1, {"k": (2,)}], HumanMessage("h", id="1")]
    for options in ({}, {"compress": True, "seal": SEAL}):
        its = codec(serde, **options)
        packed = [its.pack_element(each, b"me") for each in value]
        found = its.unpack_elements(packed, lambda _: b"me", "a list")
        assert [*found[:4], found[5]] == [*value[:4], value[5]]
        assert its.unpack(its.pack(value[5], b"me"), b"me", "a value") == value[5]


def test_a_serializer_can_be_exchanged_between_elements() -> None:
    """An older part of a list is bare, a newer one is another serializer's; each is read as it was written."""
    packed = [codec().pack_element(1, b""), codec(Pickling2()).pack_element(2, b""), codec().pack_element(3, b"")]
    assert codec(Pickling2()).unpack_elements(packed, lambda _: b"", "a list") == [1, 2, 3]


class Pickling2(StrictSerializer):
    """Writes pickle, and reads what the strict one wrote as well."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "my-pickle", pickle.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return pickle.loads(data[1]) if data[0] == "my-pickle" else super().loads_typed(data)


# Damage


MESSAGES = [HumanMessage("hello " * 5, id="1"), AIMessage("there", id="2"), HumanMessage("x", id="3")]


@pytest.mark.parametrize(
    "options", [{}, {"compress": True}, {"seal": SEAL}, {"seal": SEAL, "compress": True}], ids=repr
)
def test_a_value_that_ends_too_early_is_damage(options: dict[str, Any]) -> None:
    """At every length; never half of a value, and never msgpack's own error."""
    its = codec(**options)
    packed = its.pack(["text " * 300, *MESSAGES], b"me")
    for length in range(len(packed)):
        with pytest.raises(CorruptCheckpoint, match="channel 'x'"):
            its.unpack(packed[:length], b"me", "channel 'x'")


@given(st.data())
def test_a_flipped_bit_is_damage_or_another_value_of_the_same_count(data: st.DataObject) -> None:
    """Without a seal a letter may become another letter. Elements never run into each other unnoticed."""
    packed = [codec().pack_element(each, b"") for each in MESSAGES]
    which = data.draw(st.integers(0, 2))
    at, bit = data.draw(st.integers(0, len(packed[which]) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(packed[which])
    flipped[at] ^= 1 << bit
    packed[which] = bytes(flipped)
    try:
        found = codec().unpack_elements(packed, lambda _: b"", "a list")
    except (CorruptCheckpoint, BlockedType):
        return
    assert len(found) == 3
    assert all(found[other] == MESSAGES[other] for other in range(3) if other != which)


def test_elements_of_too_much_or_too_little_are_damage() -> None:
    """msgpack's decoder ignores what is left over: two values in the place of one would push the others along."""
    one, two, nothing = b"\x01", b"\x01\x02", b""
    for packed in ([two], [two, one], [one, two], [nothing], [one, nothing], [two, nothing], [b"\x92\x01", one]):
        with pytest.raises(CorruptCheckpoint):
            codec().unpack_elements(packed, lambda _: b"", "a list")


def test_the_damaged_element_is_named() -> None:
    """A conversation of a thousand messages, and one of them is broken: which?"""
    packed = [codec().pack_element(at, b"") for at in range(20)]
    packed[7] = b"\xa5ab"
    with pytest.raises(CorruptCheckpoint, match="channel 'x', element 7: is damaged"):
        codec().unpack_elements(packed, lambda _: b"", "channel 'x'")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\xc1", "does not know"),
        (b"\xc1\x03abc", "does not know"),
        (b"\xc1\x00", "ends too early"),
        (b"\xc1\x00\x00\x09msgpack+x\xc0", "type tag"),
        (b"\xc1\x00\xff\xffmsgpack", "ends too early"),
        (b"\xc1\x00\x00\x06pickle" + pickle.dumps(1), "type tag"),
        (b"\xc1\x00\x00\x04json{}", "type tag"),
        (b"\xc1\x00\x00\x02\xff\xfe.", "type tag"),
        (b"\xc1\x01", "does not end"),
        (b"\xc1\x01garbage", "cannot be decompressed"),
        (b"\xc1\x01" + zlib.compress(b"\xc0") + b"more", "does not end"),
        (b"\xc1\x01" + zlib.compress(b"\xc0")[:-1], "does not end"),
        (b"\xc1\x01" + zlib.compress(b"\xc1\x01" + zlib.compress(b"\xc0")), "does not know"),
        (SEAL.seal(b"\xc0", b"me"), "sealed, and this saver has no key"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,  # workers must agree on names, and a seal is random
)
def test_what_cannot_be_read_says_why(data: bytes, problem: str) -> None:
    """Frames that are cut, unknown, nested or somebody else's."""
    with pytest.raises(CorruptCheckpoint, match=problem) as caught:
        codec().unpack(data, b"me", "a value")
    assert caught.value.where == "a value"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_store_error(data: bytes) -> None:
    """Whatever stands in a store, a reader gets no error from deeper down."""
    try:
        codec().unpack(data, b"", "a value")
        codec().unpack(b"\xc1\x00" + data, b"", "a value")
    except StoreError:
        return


# Attacks


def test_a_bomb_does_not_go_off() -> None:
    """A thousandfold is possible in zlib, a millionfold when it is compressed twice; decompression is bounded."""
    once = b"\xc1\x01" + zlib.compress(b"\xc6\x02\x80\x00\x00" + bytes(40 * 2**20))
    twice = b"\xc1\x01" + zlib.compress(once)
    assert len(twice) < 1_000
    with pytest.raises(CorruptCheckpoint, match="decompresses to more than 1048576 bytes"):
        codec(max_value_bytes=2**20, max_decompressed_bytes=2**20).unpack(once, b"", "a value")
    with pytest.raises(CorruptCheckpoint, match="does not know"):
        codec().unpack(twice, b"", "a value")


def test_a_bomb_takes_little_memory() -> None:
    """The bound holds while it decompresses, not afterwards."""
    import tracemalloc

    bomb = b"\xc1\x01" + zlib.compress(bytes(100 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptCheckpoint):
            codec(max_value_bytes=2**20, max_decompressed_bytes=2**20).unpack(bomb, b"", "a value")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * 2**20


def test_a_frame_cannot_be_relabelled_under_a_seal() -> None:
    """In LangGraph's EncryptedSerializer the type stands outside of what is authenticated."""
    packed = codec(Reversing(), seal=SEAL).pack("a text", b"me")
    plain = SEAL.open(packed, b"me", "a value")
    assert plain.startswith(b"\xc1\x00\x00\x07msgpack")
    for frame in (b"\xc1\x00\x00\x05bytes", b"\xc1\x00\x00\x07msgpack"):
        with pytest.raises(CorruptCheckpoint):
            codec(seal=SEAL).unpack(frame + packed, b"me", "a value")


def test_a_value_without_a_seal_is_refused_by_a_codec_with_one() -> None:
    """Bare, framed and compressed ones: leaving the seal away is not a way around it."""
    for plain in (codec(), codec(Reversing()), codec(compress=True)):
        with pytest.raises(CorruptCheckpoint, match="not sealed"):
            codec(seal=SEAL).unpack(plain.pack("a" * 600, b"me"), b"me", "a value")


def test_errors_quote_no_contents() -> None:
    """Neither of what is written nor of what is read."""
    failing = codec(Failing())
    calls = [
        lambda: codec().pack({CANARY: Unlisted()}, b"", "channel 'x'"),
        lambda: codec().pack([CANARY, 2**70], b"", "channel 'x'"),
        lambda: codec().unpack(b"\xc1\x00\x00\x09" + CANARY.encode() + b"x", b"", "channel 'x'"),
        lambda: codec().unpack(CANARY.encode(), b"", "channel 'x'"),
        lambda: failing.pack(CANARY, b"", "channel 'x'"),
        lambda: failing.unpack(b"\xc0", b"", "channel 'x'"),
    ]
    for call in calls:
        with pytest.raises(StoreError) as caught:
            call()
        assert CANARY not in str(caught.value).replace(f"type tag that is not read here: {CANARY}", "")
        assert "channel 'x'" in str(caught.value)


class Failing:
    """Quotes what it is given."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        raise RuntimeError(f"cannot do {obj!r}")

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        raise RuntimeError(f"cannot do {CANARY}")


# What is said about it


def test_a_blocked_type_is_told_with_its_channel() -> None:
    """The codec knows where it is; the serializer does not."""
    with pytest.raises(BlockedType, match=r"channel 'x' holds tests\.checkpoint\.core\.kinds\.Unlisted"):
        codec().pack([Unlisted()], b"", "channel 'x'")
    permissive = JsonPlusSerializer(allowed_msgpack_modules=True)
    with pytest.raises(BlockedType, match=r"channel 'x' holds tests\.checkpoint\.core\.kinds\.Unlisted"):
        codec().unpack(codec(permissive).pack(Unlisted(), b""), b"", "channel 'x'")


def test_what_cannot_be_stored_is_told_with_its_channel() -> None:
    """Also when LangGraph's serializer is the one that refuses."""
    for serde in (STRICT, JsonPlusSerializer()):
        with pytest.raises(Unstorable, match=r"channel 'x'"):
            codec(serde).pack(2**64, b"", "channel 'x'")


# Limits


def test_a_value_over_the_limit_is_not_written() -> None:
    """A channel that grew without bound stops the run while the store still works."""
    its = codec(max_value_bytes=1_000)
    assert its.unpack(its.pack("a" * 997, b""), b"", "a value") == "a" * 997
    with pytest.raises(CheckpointTooLarge) as caught:
        its.pack("a" * 998, b"")
    assert (caught.value.limit, caught.value.size) == (1_000, 1_001)


def test_compression_is_no_way_around_the_limit() -> None:
    """What is written must be readable, and reading is bounded."""
    with pytest.raises(CheckpointTooLarge):
        codec(compress=True, max_value_bytes=10_000).pack("a" * 10_001, b"")


def test_a_value_from_before_the_limit_was_lowered_is_read() -> None:
    """A limit is for what comes; threads of yesterday go on."""
    value = "a" * 10_000
    assert codec(max_value_bytes=100).unpack(codec(compress=True).pack(value, b""), b"", "a value") == value


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None, "64"])
@pytest.mark.parametrize("name", ["max_value_bytes", "max_decompressed_bytes"])
def test_a_limit_is_a_number_of_bytes(name: str, wrong: Any) -> None:
    """Found out at construction."""
    with pytest.raises(ConfigError, match=name):
        codec(**{name: wrong})


def test_digests_are_made_of_what_is_neither_compressed_nor_sealed() -> None:
    """Sealed bytes differ each time, so equal values are known by `dump`."""
    its = codec(compress=True, seal=SEAL)
    assert its.dump("a" * 600) == codec().dump("a" * 600)
    assert its.wrap(its.dump("a"), b"me") != its.wrap(its.dump("a"), b"me")
    assert its.unwrap(its.wrap(b"body", b"me"), b"me", "a record") == b"body"


def test_what_needs_no_unwrapping_is_known() -> None:
    """Then a list's bytes go to the decoder as they are."""
    plain, framed = codec().pack(1, b""), codec().pack(bytearray(b"a"), b"")
    assert codec().is_plain([plain, plain])
    assert not codec().is_plain([plain, framed])
    assert not codec(seal=SEAL).is_plain([plain])
    assert (codec().sealed, codec(seal=SEAL).sealed) == (False, True)
    assert (codec().name_key, codec(seal=SEAL).name_key) == (b"", SEAL.name_key)
