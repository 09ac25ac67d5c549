"""Sphinx configuration. Nothing is downloaded: there is no intersphinx, so foreign names are not links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astrotk

if TYPE_CHECKING:
    from click import Context
    from sphinx.application import Sphinx

project = "astrotk"
author = "The astrotk developers"
copyright = author
release = version = astrotk.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_click",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
numpydoc_show_class_members = False

# Only names of ours can be resolved here, and they must be; type variables have no page.
nitpick_ignore_regex = [
    ("py:.*", r"(?!(astrotk|seismic|stats|gpu|catalogs)\b).*"),
    ("py:class", r".*\.[A-Z]"),
]

html_theme = "pydata_sphinx_theme"
html_title = f"astrotk {release}"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 3,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}


def _plain_text(app: Sphinx, context: Context, lines: list[str]) -> None:
    """Keep the help of a command what it is in a terminal, where an asterisk is an asterisk."""
    lines[:] = [line.replace("*", r"\*") for line in lines]


def setup(app: Sphinx) -> None:
    app.connect("sphinx-click-process-description", _plain_text)
