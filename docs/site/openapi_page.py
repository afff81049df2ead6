"""Writes an OpenAPI document as Markdown: a heading for each route and schema, with its fields and their limits."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

Schema = dict[str, Any]

# What limits say nothing: the largest numbers that are stored.
NO_LIMIT = 1e15
RANGES = (
    ("minimum", "maximum", ""),
    ("exclusiveMinimum", "exclusiveMaximum", " (neither end)"),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
)
CHOICES = ("anyOf", "oneOf")


def page_of(document: dict[str, Any]) -> str:
    """The routes, by their tags, and the schemas that they name."""
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    lines: list[str] = []
    for tag in sorted({operation["tags"][0] for _, operation in operations}):
        lines.append(f"## {tag.capitalize()}")
        for name, operation in operations:
            lines += _operation(name, operation) if operation["tags"][0] == tag else []
    lines.append("## Schemas")
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"### `{name}`", *_schema(schema)]
    return "\n\n".join(lines) + "\n"


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{name}`"
    yield operation.get("description") or operation["summary"]
    if parameters := operation.get("parameters"):
        rows = [(f"`{each['name']}`", each["in"], *_told(each["schema"], each)) for each in parameters]
        yield _table(("parameter", "in", "type", "meaning"), rows)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        yield f"Body, `{kind}`:" + ("" if "properties" in schema else f" {_type(schema)}")
        yield from _schema(schema) if "properties" in schema else ()
    answers = [
        (status, answer["description"], ", ".join(_answer(answer))) for status, answer in operation["responses"].items()
    ]
    yield _table(("status", "meaning", "answer"), answers)


def _answer(answer: dict[str, Any]) -> Iterator[str]:
    for kind, content in answer.get("content", {}).items():
        yield _type(content["schema"]) if content.get("schema") else f"`{kind}`"


def _schema(schema: Schema) -> Iterator[str]:
    if said := schema.get("description"):
        yield said
    if fields := schema.get("properties"):
        required = schema.get("required", ())
        rows = [(f"`{name}`", "yes" if name in required else "no", *_told(each)) for name, each in fields.items()]
        yield _table(("field", "required", "type", "meaning"), rows)
    else:
        yield _type(schema)


def _told(schema: Schema, beside: Schema | None = None) -> tuple[str, str]:
    """The type of a field or parameter, and what is said of it and of its limits."""
    said = (beside or {}).get("description") or schema.get("description") or ""
    title = schema.get("title", "")
    # FastAPI makes titles of names where there are none: they say nothing.
    given = "" if beside or title == title.title() else title
    default = f"By default `{json.dumps(schema['default'])}`." if schema.get("default") is not None else ""
    parts = (f"{given}." if given else "", said, _limits(schema), default)
    return _type(schema), " ".join(part for part in parts if part)


def _limits(schema: Schema) -> str:
    found = []
    for lowest, highest, of_what in RANGES:
        low, high = (_limit(schema.get(end)) for end in (lowest, highest))
        if low and high:
            found.append(f"{low} to {high}{of_what}.")
        elif low or high:
            found.append(f"At {'least ' + low if low else 'most ' + high}{of_what}.")
    return " ".join(found)


def _limit(value: float | None) -> str:
    return "" if value is None or abs(value) >= NO_LIMIT else f"{value:,}".replace(",", " ")


def _type(schema: Schema) -> str:
    """The type in words, with links to schemas that have a name."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for choice in CHOICES:
        if choice in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[choice]))
    if values := schema.get("enum") or [schema[word] for word in ("const",) if word in schema]:
        return "one of " * (len(values) > 1) + ", ".join(f"`{json.dumps(value)}`" for value in values)
    kinds = schema.get("type", "any value")
    return " or ".join(_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _kind(kind: str, schema: Schema) -> str:
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    form = schema.get("format") or schema.get("contentEncoding")
    return f"{kind} ({form})" if kind == "string" and form else kind


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
