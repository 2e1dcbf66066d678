"""Sphinx configuration: MyST Markdown, strict."""

project = "nbpipe"
author = "the nbpipe developers"
copyright = "2026, the nbpipe developers"  # noqa: A001  Sphinx's own name for it
extensions = ["myst_parser", "sphinx.ext.intersphinx"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "nbpipe"
nitpicky = True
intersphinx_mapping: dict[str, tuple[str, None]] = {}
