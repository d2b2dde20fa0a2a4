"""The scripts that the page needs at once, so that it can ask the browser to preload them."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

ENTRY = "widget.js"
IMPORT = re.compile(r'^import .* from "(\..+?)";$', re.MULTILINE)


def preloaded(folder: Path) -> list[str]:
    """The entry script and what it imports, directly or not, as paths below the folder.

    What a script loads later with `import()` is not in the list.
    """
    found, unread = set[str](), {ENTRY}
    while unread:
        found |= unread
        unread = {name for script in unread for name in _imports(folder, script)} - found
    return sorted(found)


def _imports(folder: Path, script: str) -> set[str]:
    paths = IMPORT.findall((folder / script).read_text())
    return {normpath(PurePosixPath(script).parent / path) for path in paths}
