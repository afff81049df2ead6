"""How `make docs` builds the pages."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

# `docs` and `services` are no installed packages.
sys.path.insert(0, str(Path(__file__).parents[2]))

project = "Modelyard"
author = "the Modelyard contributors"
project_copyright = author
release = version_of("modelyard")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docs.site.diagrams",
    "docs.site.elsewhere",
    "docs.site.http_api",
    "docs.site.navigation",
    "docs.site.public_names",
]

# The whole repository, so that a link between pages holds here as it does on the code host.
root_doc = "docs/index"
include_patterns = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "docs/**.md"]
exclude_patterns = [".*", "build", "src", "tests"]

# Links to headings are written as the code host names them.
myst_heading_anchors = 4
# Blocks that the code host draws, too.
myst_fence_as_directive = ["mermaid"]
highlight_language = "text"
# What is written between quotes is often to be typed.
smartquotes = False

# Docstrings put code between single backticks.
default_role = "code"
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "pydata_sphinx_theme"
html_title = project
html_theme_options = {
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_nav_level": 1,
}
html_sidebars = {"**": ["all-pages"]}
html_show_sourcelink = False
html_copy_source = False
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["site.css"]
# A browser that opens the folder is led to the first page.
html_additional_pages = {"index": "to-first-page.html"}
