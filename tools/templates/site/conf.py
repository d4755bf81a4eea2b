"""Sphinx's configuration of the documentation site; `make docs` copies it to where it builds."""

from __future__ import annotations

project = "vmops.lifecycle"
author = "vmops.lifecycle contributors"
copyright = "vmops.lifecycle contributors, GPL-3.0-or-later"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 4
root_doc = "index"
highlight_language = "yaml"
# Names of options link to the options; ansible-core's own pages are elsewhere, and the site is built without a network.
default_role = "any"
nitpicky = False

html_theme = "furo"
html_title = "vmops.lifecycle"
html_copy_source = False
html_show_sphinx = False
html_permalinks_icon = "#"
