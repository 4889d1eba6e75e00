"""How a ledger lies in Redis: the format, version 1. `{…}` is one hash slot: of the whole ledger, or of one tenant.

    {lgg:budget}:m          HASH    v (the format's version), epoch (which books these are), accepted
    {lgg:budget}:x          ZSET    open reservations by deadline (seconds since 1970): "owner … =id"
    {lgg:budget}:h:<id>     STRING  a reservation; a closed one is remembered for an hour past its lease
    {lgg:budget}:o:<t>:<s>:<i>  HASH  an owner: tenant, scope and id. `turn` ("=turn number"), `frozen`, `till` (when it
                                    goes, 0: never), and an account per "window:unit":
                                    "=period spent reserved credit", newest period last
    {lgg:budget}:i:<t>      ZSET    a tenant's owners, score 0: [scope, id]
    {lgg:budget}:e:<t>      ZSET    those of them that go by themselves, by `till`
    {lgg:budget}:w:<t>      LIST    what people did: "moment record"
    {lgg:budget}:d:<id>     STRING  an adjustment that was made within the hour

`everyone` stands for a tenant where it concerns the accounts that all tenants share.

Names in keys are encoded by `part`; turns and units by percent signs, so that no word has a space in it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote, unquote

from langgraph_guard._redis.keys import part
from langgraph_guard.policies.ledger import Account, Owner

VERSION: Final = b"1"

Slots = Literal["one", "tenant"]

to_text: Final = json.JSONEncoder(separators=(",", ":")).encode


class Keyspace:
    """The keys of the books in one hash slot."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.meta = f"{tag}:m"
        self.leases = f"{tag}:x"

    def hold(self, id: str) -> str:
        return f"{self.tag}:h:{part(id, 'reservation id')}"

    def owner(self, name: str) -> str:
        return f"{self.tag}:o:{name}"

    def index(self, tenant: str | None) -> str:
        """Of a tenant's owners; `None`: of everyone's."""
        return f"{self.tag}:i:{_place(tenant)}"

    def ends(self, tenant: str | None) -> str:
        return f"{self.tag}:e:{_place(tenant)}"

    def audit(self, tenant: str | None) -> str:
        return f"{self.tag}:w:{_place(tenant)}"

    def deed(self, id: str) -> str:
        return f"{self.tag}:d:{part(id, 'adjustment id')}"


def _place(tenant: str | None) -> str:
    # No encoded name begins with an e.
    return "everyone" if tenant is None else part(tenant, "tenant")


def keyspace(prefix: str, slots: Slots, tenant: str) -> Keyspace:
    """Where the accounts of `tenant` are."""
    return Keyspace(f"{{{prefix}:budget}}" if slots == "one" else f"{{{prefix}:budget:{part(tenant)}}}")


# Names


@lru_cache(maxsize=16_384)
def owner_name(owner: Owner) -> str:
    """An owner in a key."""
    return f"{part(owner.tenant, 'tenant')}:{part(owner.scope, 'scope')}:{part(owner.id, owner.scope or 'id')}"


@lru_cache(maxsize=16_384)
def member(owner: Owner) -> str:
    """An owner in its tenant's index, where its name can be read again."""
    return to_text((owner.scope, owner.id))


def owner_of_member(tenant: str | None, text: bytes) -> Owner:
    scope, id = json.loads(text)
    return Owner(tenant or "", scope, id)


@lru_cache(maxsize=4_096)
def field_of(unit: str, window: str | None) -> str:
    """An account in its owner's hash."""
    return f"{window or ''}:{word(unit)}"


def account_of(owner: Owner, field: bytes) -> Account:
    window, _, unit = field.decode().partition(":")
    return Account(*owner, unword(unit), window or None)


def word(text: str) -> str:
    """Any text as one word."""
    return quote(text, safe="", errors="surrogatepass")


def unword(text: str) -> str:
    return unquote(text, errors="surrogatepass")
