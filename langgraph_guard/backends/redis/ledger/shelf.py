"""All books of a ledger: one for everyone, or one for each tenant and one for the accounts of no tenant."""

from __future__ import annotations

from collections.abc import Callable

from langgraph_guard.backends.redis.ledger.books import Books
from langgraph_guard.backends.redis.ledger.keys import Slots, keyspace
from langgraph_guard.backends.redis.ledger.made import Made


class Shelf:
    """The books of each tenant, and what this process has open in them."""

    def __init__(self, prefix: str, slots: Slots, tenant: str, now: Callable[[], float] | None, create: bool) -> None:
        self._prefix, self._slots, self._now, self._create = prefix, slots, now, create
        self._books: dict[str, Books] = {}
        self.tenant = tenant
        self.made = Made()

    def of(self, tenant: str) -> Books:
        """The books that have the accounts of `tenant`."""
        place = self.place(tenant)
        books = self._books.get(place)
        if books is None:
            new = Books(keyspace(self._prefix, self._slots, tenant), self._now, self._create)
            books = self._books.setdefault(place, new)
        return books

    def place(self, tenant: str) -> str:
        """Tenants that have their accounts in one place have this in common."""
        return "" if self._slots == "one" else tenant

    def places(self) -> list[str]:
        """Where a reservation of somebody else may be: with this tenant's accounts, and with everyone's."""
        return list(dict.fromkeys([self.place(self.tenant), ""]))

    def known(self) -> list[Books]:
        """All that this process has to do with."""
        for tenant in self.places():
            self.of(tenant)
        return list(self._books.values())
