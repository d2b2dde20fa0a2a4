"""Files that are replaced whole: whoever reads one finds what it was, or all of what it becomes."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def replaced(file: Path) -> Iterator[TextIO]:
    """The new content of the file, which stays as it was if the block raises an error. A new file has the usual mode.

    Raises:
        OSError: it cannot be written.
    """
    if file.exists() and not file.is_file():
        # A pipe or a device, such as /dev/stdout, has nothing to keep, and must not become a file.
        with file.open("w", encoding="utf-8") as opened:
            yield opened
        return
    # Otherwise a link would be replaced, and not the file that it names.
    file = file.resolve()
    # A name of its own, so that two processes do not write into one file. Beside it: a rename stays in its file system.
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        with new.open("x", encoding="utf-8") as opened:
            if file.exists():
                shutil.copymode(file, new)
            yield opened
            # After a crash the name could be there before the content.
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
