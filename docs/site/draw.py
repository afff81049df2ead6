"""Draws the diagrams of the documentation for its site: `make diagrams`.

The code host draws them itself. Here a browser draws those that are new or have changed, with the Mermaid that comes
with Streamlit, and the drawings of those that are gone are removed.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import streamlit
from playwright.sync_api import Page, Route, sync_playwright

from docs.site.drawings import FOLDER, diagrams, drawing_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SCRIPTS = Path(streamlit.__file__).parent / "static" / "static" / "js"
HOST = "http://mermaid.localhost/"
# Wide fonts are measured, so that the words fit into their boxes whatever font a reader has.
FONT = "DejaVu Sans, Verdana, sans-serif"
OPTIONS = {
    "startOnLoad": False,
    "securityLevel": "strict",
    "theme": "neutral",
    "fontFamily": FONT,
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False},
}
DRAW = """async ([script, options, name, source]) => {
    const mermaid = (await import(script)).default;
    mermaid.initialize(options);
    return (await mermaid.render(name, source)).svg;
}"""


def main() -> None:
    """Draws what has no drawing yet."""
    FOLDER.mkdir(exist_ok=True)
    drawings = {drawing_of(source): source for source in diagrams()}
    for file in set(FOLDER.glob("*.svg")) - drawings.keys():
        file.unlink()
    missing = {file: source for file, source in drawings.items() if not file.exists()}
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.route(f"{HOST}**", give)
        page.goto(HOST)
        for file, source in missing.items():
            file.write_text(draw(page, f"diagram-{file.stem}", source) + "\n", encoding="utf-8")
            sys.stdout.write(f"{file}\n")
        browser.close()


def draw(page: Page, name: str, source: str) -> str:
    """The drawing of a diagram, as SVG.

    Args:
        page: A page that has the scripts.
        name: Is the drawing's id, and tells its styles from those of others on a page.
        source: The diagram in Mermaid's language.
    """
    [script] = SCRIPTS.glob("mermaid.core.*.js")
    svg: Any = page.evaluate(DRAW, [HOST + script.name, OPTIONS, name, source])
    return str(svg)


def give(route: Route) -> None:
    """Answers the browser with an empty page, or with one of the scripts."""
    file = SCRIPTS / route.request.url.removeprefix(HOST)
    if file.is_file():
        route.fulfill(path=file)
    else:
        route.fulfill(body="<!DOCTYPE html><title>Mermaid</title>", content_type="text/html")


if __name__ == "__main__":
    main()
