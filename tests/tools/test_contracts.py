"""Where contracts come from: decorators and mappings, and what happens when two sources disagree."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool

from langgraph_guard.errors import ConfigError
from langgraph_guard.tools.contracts.contract import ToolContract
from langgraph_guard.tools.contracts.loading import Contracts, contract, contract_of, name_of

PAY = ToolContract(name="pay", timeout=5)
SEARCH = ToolContract(name="search", timeout=3, side_effects="read")


@tool
def search(q: str) -> str:
    """Search."""
    return q


@tool
def pay(amount: int) -> str:
    """Pay."""
    return "paid"


# Decorated tools


def test_a_contract_under_the_tool_decorator() -> None:
    """The function's own, before LangChain takes it."""

    @tool
    @contract(timeout=5, side_effects="read")
    def find(q: str) -> str:
        """Find."""
        return q

    found = contract_of(find)
    assert found == ToolContract(name="find", timeout=5, side_effects="read")


def test_a_contract_over_the_tool_decorator() -> None:
    """Both orders are written, and both are meant."""

    @contract(timeout=5)
    @tool
    def find(q: str) -> str:
        """Find."""
        return q

    assert (contract_of(find), find.invoke({"q": "x"})) == (ToolContract(name="find", timeout=5), "x")


def test_a_contract_has_the_name_that_the_tool_turns_out_to_have() -> None:
    """`@tool("lookup")` renames the function after the contract was made."""

    @tool("lookup")
    @contract(timeout=5)
    def find(q: str) -> str:
        """Find."""
        return q

    found = contract_of(find)
    assert found is not None
    assert found.name == "lookup"


def test_a_contract_that_names_another_tool_is_refused() -> None:
    """It was copied from next door, and its figures with it."""

    @tool
    @contract(name="pay", timeout=5)
    def find(q: str) -> str:
        """Find."""
        return q

    with pytest.raises(ConfigError, match=r"pay\.name: is on a tool that is called find"):
        contract_of(find)


def test_an_async_tool_has_its_contract() -> None:
    """LangChain keeps those functions elsewhere."""

    @tool
    @contract(timeout=5)
    async def find(q: str) -> str:
        """Find."""
        return q

    assert contract_of(find) == ToolContract(name="find", timeout=5)


def test_a_class_of_tools_has_its_contract_and_so_have_its_children() -> None:
    """Tools with state are classes."""

    @contract(timeout=5)
    class Find(BaseTool):
        name: str = "find"
        description: str = "Find."

        def _run(self, q: str) -> str:
            return q

    class FindMore(Find):
        name: str = "find_more"

    assert (contract_of(Find()), contract_of(FindMore())) == (
        ToolContract(name="find", timeout=5),
        ToolContract(name="find_more", timeout=5),
    )


def test_a_plain_function_has_its_contract() -> None:
    """`ToolNode` takes functions."""

    @contract(timeout=5)
    def find(q: str) -> str:
        """Find."""
        return q

    assert (contract_of(find), find.__name__, find.__doc__, find("x")) == (
        ToolContract(name="find", timeout=5),
        "find",
        "Find.",
        "x",
    )


def test_the_contract_stays_on_copies() -> None:
    """Graph builders copy tools to bind them."""
    decorated = contract(timeout=5)(StructuredTool.from_function(lambda q: q, name="find", description="Find."))
    assert contract_of(decorated.model_copy()) == ToolContract(name="find", timeout=5)


@pytest.mark.parametrize("undecorated", [search, len, None, 3, "search", BaseTool, object()])
def test_what_has_no_contract_has_none(undecorated: object) -> None:
    """A guard asks of everything that it is given."""
    assert contract_of(undecorated) is None


def test_a_contract_given_twice_is_refused() -> None:
    """Which one counts would be a matter of line order."""
    with pytest.raises(ConfigError, match=r"find\.contract: is given twice"):

        @contract(timeout=5)
        @contract(timeout=6)
        def find(q: str) -> str:
            """Find."""
            return q


def test_a_contract_on_the_tool_and_another_on_its_function_is_refused() -> None:
    """The same in a longer file."""

    @contract(timeout=5)
    @tool
    @contract(timeout=6)
    def find(q: str) -> str:
        """Find."""
        return q

    with pytest.raises(ConfigError, match=r"contracts.find: has two contracts, which differ in timeout"):
        contract_of(find)


def test_a_decorator_with_a_wrong_field_names_the_tool() -> None:
    """It fails where it is written, when the module is imported."""
    with pytest.raises(ConfigError, match=r"find.timeout: must be greater than 0"):

        @contract(timeout=-1)
        def find(q: str) -> str:
            """Find."""
            return q


@pytest.mark.parametrize("thing", [len, 3, "search", [].append])
def test_what_cannot_keep_a_contract_says_so(thing: Any) -> None:
    """Built-in functions take no attributes."""
    with pytest.raises(ConfigError, match="use a function or a tool"):
        contract(timeout=5)(thing)


def test_names_of_tools() -> None:
    """Contracts are found by what the model calls a tool."""
    assert [name_of(each) for each in (search, len, StructuredTool)] == ["search", "len", "StructuredTool"]


# Collections


@pytest.mark.parametrize(
    "source",
    [
        [PAY, SEARCH],
        (PAY, {"name": "search", "timeout": 3, "side_effects": "read"}),
        {"pay": PAY, "search": SEARCH},
        {"pay": {"timeout": 5}, "search": {"timeout": 3, "side_effects": "read"}},
        {"pay": {"name": "pay", "timeout_seconds": 5}, "search": SEARCH},
        iter([PAY, SEARCH]),
        Contracts([PAY, SEARCH]),
    ],
    ids=lambda source: type(source).__name__,
)
def test_contracts_come_in_every_usual_form(source: Any) -> None:
    """However a project keeps them, they are the same."""
    assert dict(Contracts.load(source)) == {"pay": PAY, "search": SEARCH}


def test_nothing_is_no_contracts() -> None:
    """A guard without contracts still guards."""
    assert (len(Contracts.load()), Contracts.load(None).get("pay")) == (0, None)


def test_one_contract_is_a_mapping_of_its_fields() -> None:
    """What a file with one contract reads as."""
    assert Contracts.load({"name": "pay", "timeout": 5})["pay"] == PAY


def test_a_tool_may_be_called_like_a_field() -> None:
    """A tool that tails logs is called `logs`."""
    assert [*Contracts.load({"logs": {"timeout": 5}, "name": {"timeout": 5}})] == ["logs", "name"]


def cycle() -> dict[str, Any]:
    """A mapping that holds itself."""
    turning: dict[str, Any] = {"timeout": 5}
    turning["retry_policy"] = turning
    return turning


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (3, "contracts: must be a contract, a list or a mapping of them, got int"),
        (b"name: pay", "contracts: must be a contract, a list or a mapping of them, got bytes"),
        ([3], r"contracts\[0\]: must be a mapping of a contract's fields, got int"),
        ([[PAY]], r"contracts\[0\]: must be a mapping of a contract's fields, got list"),
        ({"pay": None}, "contracts.pay: must be a mapping of a contract's fields, got NoneType"),
        ({"pay": {}}, "pay.timeout: is missing"),
        ({3: {"timeout": 5}}, "contract.name: must be a text, got int"),
        ({"pay": {3: 5, "timeout": 5}}, "pay.3: is no field of a contract"),
        ({"pay": SEARCH}, "contracts.pay.name: is search, and the table says otherwise"),
        ({"nam": "pay", "timeout": 5}, "nam: is no field of a contract; did you mean 'name'"),
        ({"timeout": 5}, "contract.name: is missing"),
        (
            [PAY, ToolContract(name="pay", timeout=6, polls=True, side_effects="read")],
            "differ in timeout, side_effects",
        ),
        ({"pay": cycle()}, "pay.retry_policy"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_contract_is_refused_with_its_place(source: Any, says: str) -> None:
    """A contract that is silently left out is a tool without one."""
    with pytest.raises(ConfigError, match=says):
        Contracts.load(source)


def test_contracts_never_change() -> None:
    """A guard that was built with them holds on to them."""
    contracts = Contracts([PAY])
    with pytest.raises(TypeError):
        contracts["search"] = SEARCH  # type: ignore[index]


def test_the_same_contract_twice_is_one() -> None:
    """In the file and at the tool: nobody disagrees."""
    assert len(Contracts([PAY, ToolContract(name="pay", timeout=5)])) == 1


def test_a_contract_of_no_tool_is_refused() -> None:
    """`serach` protects nothing, and nobody would notice until the bill."""
    misspelled = Contracts([ToolContract(name="serach", timeout=5)])
    with pytest.raises(ConfigError, match=r"contracts.serach: is no tool of this node; did you mean 'search'\?"):
        misspelled.check([search, pay])


def test_contracts_that_fit_their_tools_pass() -> None:
    """Tools without a contract are for the guard to judge."""
    Contracts([SEARCH]).check([search, pay])


@contract(timeout=7)
@tool
def decorated(q: str) -> str:
    """Find."""
    return q


def test_a_tool_s_own_contract_counts_where_the_file_has_none() -> None:
    """Both ways of writing may be used in one project."""
    contracts = Contracts([PAY])
    assert (contracts.of("decorated", decorated), contracts.of("pay", pay), contracts.of("search", search)) == (
        ToolContract(name="decorated", timeout=7),
        PAY,
        None,
    )


def test_a_file_and_a_decorator_that_disagree_are_refused_when_the_graph_is_built() -> None:
    """Either could be the one that was forgotten."""
    contracts = Contracts([ToolContract(name="decorated", timeout=8, owner="me")])
    with pytest.raises(ConfigError, match=r"contracts\.decorated: has two contracts, which differ in owner, timeout"):
        contracts.check([decorated])
