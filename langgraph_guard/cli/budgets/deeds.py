"""What people do to the accounts and circuits that workers share. Each is on record, with who and why."""

from __future__ import annotations

import json
import uuid
from argparse import Namespace
from decimal import Decimal
from typing import Any, cast

from rich.console import Console

from langgraph_guard.backends.protocols import Backend
from langgraph_guard.cli.budgets import tables
from langgraph_guard.cli.budgets.snapshot import balance, circuit, circuit_key
from langgraph_guard.cli.budgets.store import ask, shared
from langgraph_guard.errors import ConfigError
from langgraph_guard.policies.breaker import commands as breaking
from langgraph_guard.policies.breaker.settings import BreakerSettings
from langgraph_guard.policies.budget import whole
from langgraph_guard.policies.ledger import Account, AccountBalance, Adjust, Audit, Deed, Freeze, Owner, Thaw


def do(said: Namespace, backend: Backend, console: Console) -> int:
    deed = {
        "freeze": freeze,
        "thaw": freeze,
        "top-up": adjust,
        "adjust": adjust,
        "force-open": switch,
        "reset": switch,
        "reopen": reopen,
        "audit": audit,
    }[said.deed]
    deed(said, backend, console)
    return 0


def freeze(said: Namespace, backend: Backend, console: Console) -> None:
    owner = owner_of(said.owner, backend.tenant)
    kind = Freeze if said.deed == "freeze" else Thaw
    ask(backend, [kind(owner, said.by, said.reason)])
    state = "frozen: every call on its accounts is refused" if kind is Freeze else "thawed"
    _tell(said, console, {"owner": said.owner, "frozen": kind is Freeze}, f"{tables.plain(said.owner)} is {state}")


def adjust(said: Namespace, backend: Backend, console: Console) -> None:
    owner = owner_of(said.owner, backend.tenant)
    account = Account(*owner, said.unit, said.window)
    amount = signed(said.unit, said.amount)
    spent, credit = (0, amount) if said.deed == "top-up" else (amount, 0)
    command = Adjust(said.id or uuid.uuid4().hex, account, said.by, said.reason, spent, credit)
    found = AccountBalance(account, ask(backend, [command])[0])
    _tell(said, console, balance(found), tables.standing(found))


def switch(said: Namespace, backend: Backend, console: Console) -> None:
    key = circuit_key(backend.tenant, said.breaker, said.key)
    kind = breaking.ForceOpen if said.deed == "force-open" else breaking.Reset
    backend.breakers.execute([kind(key, said.by, said.reason)])
    ((status,),) = cast(Any, backend.breakers.execute([breaking.Peek((key,), BreakerSettings())]))
    _tell(said, console, circuit(key, status), f"{tables.plain(said.breaker)} {tables.plain(said.key)}: {status.state}")


def reopen(said: Namespace, backend: Backend, console: Console) -> None:
    ledger: Any = shared(backend)
    if not hasattr(ledger, "reopen"):
        raise ConfigError("reopen", "a file keeps its books; only those of a server can be gone")
    ledger.reopen(by=said.by, reason=said.reason)
    _tell(said, console, {"reopened": True}, "the ledger goes on from what there is")


def audit(said: Namespace, backend: Backend, console: Console) -> None:
    found: tuple[Deed, ...] = ask(backend, [Audit(backend.tenant)])[0]
    keys = [circuit_key(backend.tenant, *names) for names in said.circuit]
    circuits: Any = [(key, backend.breakers.execute([breaking.Audit(key)])[0]) for key in keys]
    if said.json:
        records = [{**key._asdict(), **record._asdict()} for key, records in circuits for record in records]
        deeds = [{**deed._asdict(), "owner": deed.owner._asdict()} for deed in found]
        print(json.dumps({"deeds": deeds, "circuits": records}, indent=2))
        return
    console.print(tables.deeds(found))
    for key, records in circuits:
        console.print(tables.records(key, records))


def owner_of(text: str, tenant: str) -> Owner:
    """`user:42`, or `global`, which is everyone's, or `tenant`, which is this one."""
    scope, colon, id = text.partition(":")
    if scope == "global" and not id:
        return Owner("", "global", "")
    if scope == "tenant" and not id and tenant:
        return Owner(tenant, "tenant", tenant)
    if not scope.isidentifier() or not colon or not id:
        raise ConfigError("owner", "must be like user:42, session:…, tenant (with --tenant) or global")
    return Owner(tenant, scope, id)


def signed(unit: str, amount: Decimal) -> int:
    figure = whole(unit, abs(amount))
    return -figure if amount < 0 else figure


def _tell(said: Namespace, console: Console, data: dict[str, Any], line: str) -> None:
    if said.json:
        print(json.dumps(data, indent=2))
    else:
        console.print(line, markup=False, soft_wrap=True)
