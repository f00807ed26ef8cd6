"""How Sphinx builds the site: ``scripts/docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "codeclm"
author = "The codeclm authors"
copyright = author  # noqa: A001  (Sphinx's name)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference", "outside"]
exclude_patterns = ["extensions"]
templates_path: list[str] = []

myst_heading_anchors = 4  # links to headings, as GitHub makes them
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
default_role = "any"  # single backquotes in docstrings
suppress_warnings = ["ref.any"]  # most of them name settings or fields, which have no target

html_theme = "furo"
html_title = "codeclm"
html_show_sphinx = False
