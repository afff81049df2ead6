"""An OpenAPI document as a page: nothing of a route or a schema that a client must know is lost."""

from typing import Any

from docs.site.openapi_page import page_of

ROW: dict[str, Any] = {
    "description": "A row.",
    "properties": {
        "age": {"type": ["integer", "null"], "minimum": 18, "maximum": 110, "title": "Age in years"},
        "contract": {
            "type": ["string"],
            "enum": ["monthly", "yearly"],
            "title": "Contract",
            "description": "Which | one.",
        },
        "score": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": 1},
        "of": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}},
        "by_name": {"type": "object", "additionalProperties": {"type": "number"}},
        "sum": {"type": "number", "maximum": 3.4e38},
    },
    "required": ["age"],
}
DOCUMENT: dict[str, Any] = {
    "paths": {
        "/rows/{name}": {
            "post": {
                "tags": ["rows"],
                "summary": "Add a row",
                "parameters": [
                    {
                        "name": "name",
                        "in": "path",
                        "schema": {"type": "string", "maxLength": 63},
                        "description": "Whose.",
                    }
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Row"}}}},
                "responses": {
                    "200": {"description": "Added.", "content": {"text/plain": {}}},
                    "404": {"description": "No."},
                },
            }
        }
    },
    "components": {"schemas": {"Row": ROW}},
}
PAGE = r"""## Rows

### `POST /rows/{name}`

Add a row

| parameter | in | type | meaning |
| --- | --- | --- | --- |
| `name` | path | string | Whose. At most 63 characters. |

Body, `application/json`: [Row](#row)

| status | meaning | answer |
| --- | --- | --- |
| 200 | Added. | `text/plain` |
| 404 | No. |  |

## Schemas

### `Row`

A row.

| field | required | type | meaning |
| --- | --- | --- | --- |
| `age` | yes | integer or null | Age in years. 18 to 110. |
| `contract` | no | one of `"monthly"`, `"yearly"` | Which \| one. |
| `score` | no | number or null | By default `1`. |
| `of` | no | list of [Row](#row) |  |
| `by_name` | no | object of number |  |
| `sum` | no | number |  |
"""


def test_routes_and_schemas_are_told_with_types_limits_and_links() -> None:
    assert page_of(DOCUMENT) == PAGE
