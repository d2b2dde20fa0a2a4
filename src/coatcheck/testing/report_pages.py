"""Reports as pages that stand alone: one file, without scripts and without other hosts."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("coatcheck.testing"), autoescape=True, trim_blocks=True
)


def conformance(url: str, results: Sequence[Mapping[str, Any]]) -> str:
    """The page of a conformance run, with the address of what was tested."""
    return TEMPLATES.get_template("conformance.html").render(url=url, results=results)
