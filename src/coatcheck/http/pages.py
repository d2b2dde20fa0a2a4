"""The templates of a surface's pages, in each language."""

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from coatcheck.http.design import PAGES, TOKENS
from coatcheck.http.i18n import LOCALES, catalogue


def environments(surface: str) -> Mapping[str, Environment]:
    """By locale: the templates in `templates/` of a surface, such as `portal`, with its catalogue."""
    return {locale: _environment(surface, locale) for locale in LOCALES}


def _environment(surface: str, locale: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(files(f"coatcheck.{surface}") / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.globals["style_sheets"] = (TOKENS, PAGES)
    environment.install_gettext_translations(catalogue(surface, locale), newstyle=True)  # type: ignore[attr-defined]
    return environment
