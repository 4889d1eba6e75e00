"""Where contracts come from: `@contract(…)` on a tool, a mapping, a list, or a YAML file beside the tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast

from langchain_core.tools import BaseTool
from typing_extensions import Unpack

from langgraph_guard.errors import ConfigError
from langgraph_guard.tools.contracts.contract import SPELLINGS, ContractFields, ToolContract, differences
from langgraph_guard.tools.contracts.wording import meant, named
from langgraph_guard.tools.contracts.yaml_files import read_yaml

Entry: TypeAlias = ToolContract | Mapping[str, Any]
Source: TypeAlias = "str | Path | Mapping[str, Any] | Iterable[Entry] | Contracts | None"

AnyTool = TypeVar("AnyTool", bound=Callable[..., Any] | BaseTool)

_KEPT_AT: Final = "__tool_contract__"


class _Kept(NamedTuple):
    """A contract on its tool. `named`: it names the tool itself, so the tool must have that name."""

    contract: ToolContract
    named: bool

    def under(self, name: str) -> ToolContract:
        """As the contract of the tool that turned out to be called `name`."""
        if self.contract.name == name:
            return self.contract
        if self.named:
            raise ConfigError(f"{self.contract.name}.name", f"is on a tool that is called {named(name)}")
        return self.contract.model_copy(update={"name": name})


class Contracts(Mapping[str, ToolContract]):
    """Contracts by the name of their tool. Never changes."""

    def __init__(self, contracts: Iterable[ToolContract] = ()) -> None:
        by_name: dict[str, ToolContract] = {}
        for each in contracts:
            _agree(by_name.setdefault(each.name, each), each)
        self._by_name = MappingProxyType(by_name)

    @classmethod
    def load(cls, source: Source = None) -> Contracts:
        """From a YAML file (a path), a mapping, a list of contracts or mappings, or nothing.

        A file has one contract, a list of them, or a mapping of names to contracts; it may have several documents.
        """
        if isinstance(source, Contracts):
            return source
        if isinstance(source, (str, Path)):
            return cls(each for document in read_yaml(source) for each in _entries(Path(source).name, document))
        return cls(_entries("contracts", source) if source is not None else ())

    def of(self, name: str, tool: object = None) -> ToolContract | None:
        """The contract of a tool: one of these, or its own. Two that differ are a `ConfigError`."""
        here, own = self._by_name.get(name), contract_of(tool)
        if here is not None and own is not None:
            _agree(here, own)
        return own if here is None else here

    def check(self, tools: Iterable[object]) -> None:
        """Each contract must be of one of `tools`, one that is misspelled protects nothing; and agree with its own."""
        by_name = {name_of(tool): tool for tool in tools}
        for name in self:
            if name not in by_name:
                raise ConfigError(f"contracts.{named(name)}", f"is no tool of this node{meant(name, by_name)}")
        for name, tool in by_name.items():
            self.of(name, tool)

    def __getitem__(self, name: str) -> ToolContract:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Contracts({', '.join(self)})"


def contract(**fields: Unpack[ContractFields]) -> Callable[[AnyTool], AnyTool]:
    """Gives a tool its contract: a function, before or after `@tool`, a `BaseTool`, or a class of them.

    The tool stays what it was. Without `name`, the contract has the name that the tool turns out to have.
    """

    def decorate(tool: AnyTool) -> AnyTool:
        written = fields.copy()
        written.setdefault("name", name_of(tool))
        made = ToolContract(**written)
        if _KEPT_AT in getattr(tool, "__dict__", ()):  # its own, not its class's
            raise ConfigError(f"{made.name}.contract", "is given twice")
        try:
            put = type.__setattr__ if isinstance(tool, type) else object.__setattr__  # a model refuses unknown fields
            put(tool, _KEPT_AT, _Kept(made, "name" in fields))
        except (AttributeError, TypeError) as error:
            kind = type(tool).__name__
            raise ConfigError(
                f"{made.name}.contract", f"cannot be kept on a {kind}: use a function or a tool"
            ) from error
        return tool

    return decorate


def contract_of(tool: object) -> ToolContract | None:
    """The contract that a decorator gave to a tool, to its class, or to the function that it is made of."""
    places = (tool, getattr(tool, "func", None), getattr(tool, "coroutine", None))
    kept = [each for place in places if isinstance(each := getattr(place, _KEPT_AT, None), _Kept)]
    contracts = [each.under(name_of(tool)) for each in kept]
    for other in contracts[1:]:
        _agree(contracts[0], other)
    return contracts[0] if contracts else None


def name_of(tool: object) -> str:
    """What a model calls it: a tool's name, a tool class's default, a function's own."""
    if isinstance(tool, type) and issubclass(tool, BaseTool):
        default = tool.model_fields["name"].default
        return default if isinstance(default, str) else tool.__name__
    name = tool.name if isinstance(tool, BaseTool) else getattr(tool, "__name__", None)
    return name if isinstance(name, str) else type(tool).__name__


def _agree(one: ToolContract, other: ToolContract) -> None:
    if fields := differences(one, other):
        raise ConfigError(f"contracts.{one.name}", f"has two contracts, which differ in {', '.join(fields)}")


def _entries(where: str, source: object) -> Iterator[ToolContract]:
    """The contracts of a document, or of what Python passed."""
    if isinstance(source, Mapping) and not _is_one(source):
        for name, entry in source.items():
            yield _made(f"{where}.{named(name)}", entry, name)
    elif isinstance(source, (Mapping, ToolContract)):
        yield _made(where, source)
    elif isinstance(source, Iterable) and not isinstance(source, (str, bytes)):
        for at, entry in enumerate(source):
            yield _made(f"{where}[{at}]", entry)
    else:
        raise ConfigError(where, f"must be a contract, a list or a mapping of them, got {type(source).__name__}")


def _is_one(document: Mapping[Any, Any]) -> bool:
    """One contract has fields with values; a table of contracts has a mapping, or a contract, behind each name."""
    return any(key in SPELLINGS and not isinstance(value, (Mapping, ToolContract)) for key, value in document.items())


def _made(where: str, entry: object, name: object = None) -> ToolContract:
    """`entry` as a contract. `name`: what the table calls it, and it must agree."""
    if isinstance(entry, ToolContract):
        made = entry
    elif isinstance(entry, Mapping):
        fields = {named(key) if not isinstance(key, str) else key: value for key, value in entry.items()}
        written = cast("ContractFields", fields if name is None else {"name": name} | fields)  # checked when it is made
        made = ToolContract(**written)
    else:
        raise ConfigError(where, f"must be a mapping of a contract's fields, got {type(entry).__name__}")
    if name is not None and made.name != name:
        raise ConfigError(f"{where}.name", f"is {made.name}, and the table says otherwise")
    return made
