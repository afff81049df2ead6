"""The page of the HTTP API: what the application says of itself, without a server."""

from typing import Any

from sphinx.application import Sphinx

from docs.site.openapi_page import page_of
from modelyard.catalog import find_use_case
from modelyard.models.onnx.compiled import CompiledModel, Example
from modelyard.settings import Settings
from modelyard.stores.registry import Registry
from services.api.app import create_app
from services.api.http.openapi import Document
from services.api.models.served import Models, ServedVersion

PAGE = "docs/openapi"
# One of a table, which is the default, and one of images.
SHOWN = ("loan_approval", "skin_cancer")
# Are never connected to.
NO_DATABASE = "postgresql://127.0.0.1/raw_data"
NO_REGISTRY = "http://127.0.0.1"


def openapi() -> dict[str, Any]:
    """The OpenAPI document of an API that serves some of the use cases that come with Modelyard."""
    settings = Settings(_env_file=None, raw_database_url=NO_DATABASE)
    models = Models(SHOWN[0])
    for name in SHOWN:
        models.serve(name, _declared(name), "as it is declared")
    return Document(create_app(settings, Registry(NO_REGISTRY)).app, models)()


def _declared(name: str) -> ServedVersion:
    """A version that has a contract and no graph: it will not be asked."""
    example = Example(records=({},), scores=((0.0,),))
    return ServedVersion(1, CompiledModel(find_use_case(name).contract(), example, None, (), ""))


def add_routes(_app: Sphinx, page: str, text: list[str]) -> None:
    """Adds the routes to their page.

    Args:
        page: The page that was read.
        text: Its text, in a list of one.
    """
    if page == PAGE:
        text[0] += "\n\n" + page_of(openapi())


def setup(app: Sphinx) -> dict[str, bool]:
    """Has Sphinx use it."""
    app.connect("source-read", add_routes)
    return {"parallel_read_safe": True}
