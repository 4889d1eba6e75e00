"""The calls of Workers KV's REST API, as the saver needs them: what every server of them must answer alike.

A subclass gives `place`. Keys begin with `prefix`, so that tests may share a namespace.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import pytest

from tests.servers.kv import KVPlace

MIB = 1024 * 1024
LARGEST = 25 * MIB

STRANGE = ("é", "\uffff", "😀", "a b+c", "a%2Fb", "a/../b", "a//b", "?q=1&r#s", '"\\', "%", "\u202e", "..a", "x\x00y")
"""Ends of keys that a proxy, a URL or an encoding may turn into others."""


class KVCalls:
    """Override `place`, and `prefix` where keys of another form may be treated otherwise."""

    transport: ClassVar[Any] = None

    def place(self) -> KVPlace:
        """A namespace; other tests may be in it."""
        raise NotImplementedError

    def prefix(self) -> str:
        """What all keys of a test begin with."""
        return f"t{secrets.token_hex(6)}/"

    @pytest.fixture
    def _served(self) -> None:
        """Overridden where a server has to run first."""

    @pytest.fixture(autouse=True)
    def _connected(self, _served: None) -> Iterator[None]:
        self.at = self.prefix()
        with self.place().client(transport=self.transport) as self.http:
            yield

    # What a test does

    def put(self, *pairs: dict[str, Any]) -> httpx.Response:
        return self.http.put("/bulk", json=[{"value": "v", **pair, "key": self.at + pair["key"]} for pair in pairs])

    def put_keys(self, keys: Iterable[str]) -> None:
        assert self.put(*({"key": key, "value": f"value of {key}"} for key in keys)).is_success

    def values(self, *keys: str) -> dict[str, str | None]:
        answer = self.http.post("/bulk/get", json={"keys": [self.at + key for key in keys], "type": "text"})
        found: dict[str, str | None] = answer.raise_for_status().json()["result"]["values"]
        return {key.removeprefix(self.at): value for key, value in found.items()}

    def delete(self, *keys: str) -> httpx.Response:
        return self.http.post("/bulk/delete", json=[self.at + key for key in keys])

    def page(self, prefix: str = "", **terms: Any) -> dict[str, Any]:
        answer = self.http.get("/keys", params={"prefix": self.at + prefix, **terms})
        page: dict[str, Any] = answer.raise_for_status().json()
        return page

    def listed(self, prefix: str = "", limit: int = 1_000) -> list[dict[str, Any]]:
        """All pages."""
        found, cursor = [], None
        while cursor != "":
            page = self.page(prefix, limit=limit, **({"cursor": cursor} if cursor else {}))
            found += page["result"]
            cursor = page["result_info"]["cursor"]
        return [{**each, "name": each["name"].removeprefix(self.at)} for each in found]

    def names(self, prefix: str = "", limit: int = 1_000) -> list[str]:
        return [each["name"] for each in self.listed(prefix, limit)]

    def url(self, key: str) -> str:
        return f"/values/{quote(self.at + key, safe='')}"

    # Values

    def test_a_bulk_write_is_read_in_bulk(self) -> None:
        """The two calls that nearly everything is done with; what is not there is null, not an error."""
        assert counted(self.put({"key": "a", "value": "1"}, {"key": "b", "value": "zwei — 二"})) == (2, [])
        assert self.values("a", "b", "c") == {"a": "1", "b": "zwei — 二", "c": None}

    def test_the_last_write_wins(self) -> None:
        """A shorter value leaves nothing of the longer one behind."""
        self.put({"key": "a", "value": "long" * 1_000_000, "metadata": {"n": 1}})
        self.put({"key": "a", "value": "short"})
        assert self.values("a") == {"a": "short"}
        assert self.listed() == [{"name": "a"}]

    def test_an_empty_value_is_there(self) -> None:
        """The index of runs has keys without values."""
        self.put({"key": "a", "value": ""})
        assert self.values("a") == {"a": ""}
        assert self.http.get(self.url("a")).content == b""

    def test_what_was_deleted_is_gone(self) -> None:
        """There or not, deleting succeeds: a repeated request does no harm."""
        self.put_keys(["a", "b"])
        assert counted(self.delete("a", "never")) == (2, [])
        assert self.values("a", "b") == {"a": None, "b": "value of b"}
        assert self.names() == ["b"]

    def test_a_missing_key_is_10009(self) -> None:
        """Told apart from a missing namespace by this code alone."""
        assert refused(self.http.get(self.url("nothing"))) == (404, 10009)

    def test_nothing_in_bulk_is_fine(self) -> None:
        """A batch that came out empty."""
        assert counted(self.put()) == (0, [])
        assert counted(self.delete()) == (0, [])

    # Keys

    @pytest.mark.parametrize("key", STRANGE, ids=ascii)
    def test_a_key_is_exactly_itself(self, key: str) -> None:
        """In a body, in a path, and in a listing; two keys that become one mix up two threads."""
        self.put({"key": key, "value": "in bulk"})
        assert self.values(key) == {key: "in bulk"}
        assert self.names() == [key]
        assert self.http.get(self.url(key)).content == b"in bulk"

    def test_keys_are_listed_by_their_bytes(self) -> None:
        """The order of UTF-8, not of UTF-16: the newest checkpoint is the first of a listing."""
        keys = ["", "A", "Z", "a", "a!", "a/b", "aa", "b", "é", "\ud7ff", "\ue000", "\uffff", "😀", "😀a"]
        self.put_keys(reversed(keys))
        assert keys == sorted(keys, key=str.encode)
        assert self.names() == keys
        assert self.names(limit=10) == keys

    def test_a_prefix_is_no_pattern(self) -> None:
        """`_` and `%` mean something to SQL."""
        self.put_keys(["a_b", "a%b", "axb", "a", "ab", "b", "é1", "é", "f"])
        assert [self.names(prefix) for prefix in ("a_", "a%", "a", "é", "g")] == [
            ["a_b"],
            ["a%b"],
            ["a", "a%b", "a_b", "ab", "axb"],
            ["é", "é1"],
            [],
        ]

    @pytest.mark.parametrize("count", [9, 10, 11, 20, 37])
    def test_pages_show_each_key_once(self, count: int) -> None:
        """A page that is just full is where a key is lost, or shown twice, or a last page forgotten."""
        keys = [f"{number:03}" for number in range(count)]
        self.put_keys(keys)
        assert self.names(limit=10) == keys
        assert len(self.page(limit=10)["result"]) == min(count, 10)

    def test_keys_of_other_tests_are_not_between(self) -> None:
        """A key that begins with another key is not below it."""
        self.put_keys(["a/1", "a/2", "ab/1"])
        assert self.names("a/") == ["a/1", "a/2"]

    def test_a_key_has_512_bytes(self) -> None:
        """The last that is taken, and the first that is not, in letters of one byte and of two."""
        room = 512 - len(self.at)
        most = ["x" * room, "é" * (room // 2)]
        self.put_keys(most)
        assert self.names() == most
        for key in ("x" * (room + 1), "é" * (room // 2 + 1)):
            assert refused(self.put({"key": "good"}, {"key": key}))[0] in (400, 414)
        assert self.names() == most

    @pytest.mark.parametrize("key", ["", ".", ".."], ids=repr)
    def test_a_key_is_not_empty_and_no_dots(self, key: str) -> None:
        """They would be swallowed by the URL, and a request would go to another path."""
        answer = self.http.put("/bulk", json=[{"key": self.at + "good", "value": "v"}, {"key": key, "value": "v"}])
        assert refused(answer) == (400, 10001)
        assert self.names() == []

    # What is listed with a key

    def test_metadata_is_listed(self) -> None:
        """Filters are answered from it, without reading values."""
        metadata = {"s": 1, "m": {"source": "loop", "é": None, "deep": [1, 2.5, True]}}
        self.put({"key": "a", "metadata": metadata}, {"key": "b"})
        assert self.listed() == [{"name": "a", "metadata": metadata}, {"name": "b"}]

    def test_metadata_has_1024_bytes(self) -> None:
        """The saver measures before it sends; both must count alike."""
        fits, too_long = "x" * 1_022, "é" * 512
        assert self.put({"key": "a", "metadata": fits}).is_success
        assert refused(self.put({"key": "b"}, {"key": "c", "metadata": too_long})) == (413, 10001)
        assert self.names() == ["a"]

    def test_an_expiry_is_listed(self) -> None:
        """A time to live is sent along with each write; the list shows when it ends."""
        self.put({"key": "a", "expiration_ttl": 60}, {"key": "b", "expiration_ttl": 3_600}, {"key": "c"})
        a, b, c = self.listed()
        assert 3_535 <= b["expiration"] - a["expiration"] <= 3_545
        assert "expiration" not in c

    def test_no_expiry_is_below_a_minute(self) -> None:
        """A shorter one is a mistake, and not rounded up."""
        assert refused(self.put({"key": "a"}, {"key": "b", "expiration_ttl": 59})) == (400, 10001)
        assert refused(self.put({"key": "a"}, {"key": "b", "expiration": 1_000})) == (400, 10001)
        assert self.names() == []

    # Limits

    def test_a_value_of_25_mib_is_stored_whole(self) -> None:
        """The largest there is, read in bulk and alone."""
        text = "".join(map(chr, range(32, 126))) * (LARGEST // 94) + "x" * (LARGEST % 94)
        assert self.put({"key": "a", "value": text}).is_success
        assert self.values("a") == {"a": text}
        assert self.http.get(self.url("a")).text == text

    def test_a_larger_value_is_refused(self) -> None:
        """Before anything of the request is stored."""
        assert refused(self.put({"key": "a"}, {"key": "b", "value": "x" * (LARGEST + 1)}))[0] in (400, 413)
        assert self.names() == []

    def test_a_bulk_read_ends_at_25_mib(self) -> None:
        """Two values that are fine alone are too much at once: the saver splits by the sizes that it knows."""
        self.put({"key": "a", "value": "x" * (13 * MIB)})
        self.put({"key": "b", "value": "y" * (13 * MIB)})
        answer = self.http.post("/bulk/get", json={"keys": [self.at + "a", self.at + "b"]})
        assert refused(answer)[0] == 413
        assert len(self.values("a")["a"] or "") == 13 * MIB

    def test_a_bulk_read_has_1_to_100_keys(self) -> None:
        """More is an error, not a part of the answer."""
        keys = [f"{number:03}" for number in range(101)]
        self.put_keys(keys)
        assert len(self.values(*keys[:100])) == 100
        for wrong in (keys, []):
            assert refused(self.http.post("/bulk/get", json={"keys": [self.at + key for key in wrong]}))[0] == 400

    def test_a_bulk_write_has_up_to_10000_keys(self) -> None:
        """And so has a deletion."""
        keys = [str(number) for number in range(10_001)]
        assert refused(self.put(*({"key": key} for key in keys))) == (400, 10001)
        assert refused(self.delete(*keys)) == (400, 10001)
        assert self.names() == []

    @pytest.mark.parametrize("limit", ["0", "9", "1001", "x"])
    def test_a_page_has_10_to_1000_keys(self, limit: str) -> None:
        """`limit=1` looks like the way to ask for the newest, and is an error."""
        assert refused(self.http.get("/keys", params={"limit": limit})) == (400, 10001)

    # Requests that are wrong

    def test_a_pair_may_be_there_twice_if_it_is_the_same(self) -> None:
        """Two different ones would leave it to chance which is stored."""
        same, other = {"key": "a", "value": "1"}, {"key": "a", "value": "2"}
        assert counted(self.put(same, same))[1] == []
        assert refused(self.put(same, other)) == (400, 10001)
        assert self.values("a") == {"a": "1"}

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"{}",
            b"null",
            b'[{"key": "a"}]',
            b'[{"key": "a", "value": 1}]',
            b'[{"key":"a","value":"@","base64":true}]',
        ],
        ids=ascii,
    )
    def test_what_is_no_bulk_write_is_refused(self, body: bytes) -> None:
        """Clearly, and as the client's mistake."""
        assert refused(self.http.put("/bulk", content=body, headers={"content-type": "application/json"})) == (
            400,
            10001,
        )


class SingleCalls(KVCalls):
    """The calls for one value, which the saver leaves to others: they are in the API, and a gateway has them."""

    def test_bytes_come_back_as_they_were(self) -> None:
        """Large checkpoints are stored raw; a byte that is no text must not be repaired."""
        data = bytes(range(256)) * 3
        assert self.http.put(self.url("raw"), content=data).is_success
        assert self.http.get(self.url("raw")).content == data

    def test_base64_is_stored_as_its_bytes(self) -> None:
        """So says the API; whoever uses it for binary data reads it raw."""
        self.put({"key": "a", "value": base64.b64encode(b"\x00\xff").decode(), "base64": True})
        assert self.http.get(self.url("a")).content == b"\x00\xff"

    def test_a_bulk_read_repairs_what_is_no_text(self) -> None:
        """A trap of the API that the saver must avoid; a server without it would hide the mistake."""
        self.put({"key": "a", "value": base64.b64encode(b"\xff\x00").decode(), "base64": True})
        assert self.values("a") == {"a": "\ufffd\x00"}

    def test_one_key_is_written_and_deleted(self) -> None:
        """As a person with curl does it."""
        for key in ("é/%2F b", "a/../b"):
            assert self.http.put(self.url(key), content=b"alone").is_success
            assert self.names() == [key]
            assert self.http.delete(self.url(key)).is_success
            assert refused(self.http.get(self.url(key))) == (404, 10009)

    def test_one_value_has_limits_too(self) -> None:
        """The same as in bulk; 25 MiB of bytes that are no text are stored whole."""
        data = secrets.token_bytes(MIB) * 25
        assert self.http.put(self.url("a"), content=data).is_success
        assert self.http.get(self.url("a")).content == data
        assert refused(self.http.put(self.url("b"), content=data + b"x"))[0] == 413
        assert refused(self.http.put(self.url("x" * 512), content=b"v"))[0] == 414
        assert self.names() == ["a"]


def counted(answer: httpx.Response) -> tuple[int, list[str]]:
    """How many keys a bulk call did, and which it did not."""
    result = answer.raise_for_status().json()["result"]
    return result["successful_key_count"], result["unsuccessful_keys"]


def refused(answer: httpx.Response) -> tuple[int, int]:
    """Status and code of an error, in Cloudflare's envelope and with a sentence."""
    body = answer.json()
    assert (body["success"], body["result"]) == (False, None)
    (error,) = body["errors"]
    assert error["message"]
    return answer.status_code, error["code"]
