"""The scripts that the page needs first, so that the browser can preload them."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

ENTRY = "widget.js"
IMPORT = re.compile(r'^import .* from "(\..+?)";$', re.MULTILINE)


def preloaded(folder: Path) -> list[str]:
    """The entry script and its static imports, direct and indirect, as paths below the folder.

    Scripts that are loaded with `import()` are not included.
    """
    found, unread = set[str](), {ENTRY}
    while unread:
        found |= unread
        unread = {name for script in unread for name in _imports(folder, script)} - found
    return sorted(found)


def _imports(folder: Path, script: str) -> set[str]:
    paths = IMPORT.findall((folder / script).read_text())
    return {normpath(PurePosixPath(script).parent / path) for path in paths}
