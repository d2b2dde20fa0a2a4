"""The shared style sheets: the design tokens of every page, and the page with a message."""

from importlib.resources import files
from pathlib import Path

from starlette.routing import Route

from coatcheck.http.static_files import StaticFolder

_FOLDER = StaticFolder(Path(str(files("coatcheck.http"))) / "static", "/static")
TOKENS = f"{_FOLDER.base}/tokens.css"
"""Colours, spacing and type. Every page links to it before its own style sheet."""
PAGES = f"{_FOLDER.base}/pages.css"
"""Text, lists, buttons and forms of the portal and of the dashboard."""
MESSAGE_STYLE = f"{_FOLDER.base}/message.css"


def design_route() -> Route:
    """The style sheets, for the web process, at the root."""
    return _FOLDER.route()


def tokens() -> bytes:
    """The text of the design tokens, for a style sheet that contains them."""
    return (_FOLDER.folder / "tokens.css").read_bytes()
