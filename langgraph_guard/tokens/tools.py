"""What the schemas of tools cost: models read them as type declarations, which are shorter than the JSON.

The declarations of OpenAI's models are known from what they repeat when asked, and reproduce most published counts:
a namespace with one type per function, descriptions as comments, and those deeper than one level left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from langgraph_guard.tokens.content import as_json

AROUND: Final = 9
"""Tokens of the message that the declarations stand in."""

WITH_SYSTEM: Final = -4
"""They join the first system message if there is one, after a line break."""

DEPTH: Final = 32
"""Schemas that refer to themselves end here, as `any`."""


class Schemas(NamedTuple):
    """Functions as declarations, tools of other kinds as JSON, and all of them as JSON."""

    declarations: str
    others: str
    json: str


def schemas_of(tools: Sequence[Any]) -> Schemas:
    functions = [(tool, _function(tool)) for tool in tools]
    known = [function for _, function in functions if function is not None]
    others = [as_json(tool) for tool, function in functions if function is None]
    return Schemas(_namespace(known) if known else "", "".join(others), "".join([*map(as_json, known), *others]))


def _function(tool: Any) -> dict[str, Any] | None:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    try:
        found = convert_to_openai_tool(tool).get("function")
    except Exception:  # anything may be bound as a tool; a provider's own kinds are no functions
        return None
    return found if isinstance(found, dict) else None


def _namespace(functions: Sequence[dict[str, Any]]) -> str:
    lines = ["namespace functions {", ""]
    for function in functions:
        lines += _declaration(function)
    return "\n".join([*lines, "} // namespace functions"])


def _declaration(function: dict[str, Any]) -> Iterator[str]:
    if description := function.get("description"):
        yield f"// {description}"
    schema = function.get("parameters")
    properties = list(_properties(_Schema(schema), 0)) if isinstance(schema, dict) else []
    if properties:
        yield f"type {function.get('name')} = (_: {{"
        yield from properties
        yield "}) => any;"
    else:
        yield f"type {function.get('name')} = () => any;"
    yield ""


class _Schema:
    """A part of a JSON schema, and the definitions that it may refer to."""

    def __init__(self, part: Any, definitions: dict[str, Any] | None = None, depth: int = 0) -> None:
        self.part: dict[str, Any] = part if isinstance(part, dict) else {}
        self.depth = depth
        own = self.part.get("$defs") or self.part.get("definitions")
        self.definitions = own if isinstance(own, dict) else definitions or {}
        if isinstance(name := self.part.get("$ref"), str):
            target = self.definitions.get(name.rpartition("/")[2])
            self.part = {**target, **self.part} if isinstance(target, dict) else self.part

    def inner(self, part: Any) -> _Schema:
        return _Schema(part if self.depth < DEPTH else None, self.definitions, self.depth + 1)


def _properties(schema: _Schema, indent: int) -> Iterator[str]:
    found = schema.part.get("properties")
    required = schema.part.get("required")
    needed = required if isinstance(required, list) else ()
    for name, part in (found if isinstance(found, dict) else {}).items():
        inner = schema.inner(part)
        margin = " " * indent
        if indent < 2 and (description := inner.part.get("description")):
            yield f"{margin}// {description}"
        yield f"{margin}{name}{'' if name in needed else '?'}: {_type(inner, indent)},"


def _type(schema: _Schema, indent: int) -> str:
    part = schema.part
    if isinstance(values := part.get("enum"), list):
        return " | ".join(as_json(value) for value in values)
    for union in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := part.get(union), list):
            return " | ".join(_type(schema.inner(option), indent) for option in options)
    if isinstance(kinds := part.get("type"), list):
        return " | ".join(_named(schema, kind, indent) for kind in kinds)
    return _named(schema, part.get("type"), indent)


def _named(schema: _Schema, kind: Any, indent: int) -> str:
    match kind:
        case "integer" | "number":
            return "number"
        case "string" | "boolean" | "null":
            return str(kind)
        case "array":
            items = schema.part.get("items")
            return f"{_type(schema.inner(items), indent)}[]" if isinstance(items, dict) and items else "any[]"
        case "object":
            inside = list(_properties(schema, indent + 2))
            return "\n".join(["{", *inside, "}"]) if inside else "object"
        case _:
            return "any"
