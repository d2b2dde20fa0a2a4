"""A data directory has one process: that which holds the lock of the directory. The lock file contains its id."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from coatcheck.errors import ConfigurationError

ATTEMPTS, PAUSE_SECONDS = 5, 0.02
"""`holder` has the lock for an instant, and must not be taken for a process that uses the directory."""


def _file_of(directory: Path) -> Path:
    return Path(f"{directory}.lock")


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the lock while the block runs.

    Raises:
        ConfigurationError: another process holds it.
    """
    # Opening it to write would empty it, and the lock may be another process's.
    with _file_of(directory).open("a+") as file:
        for _ in range(ATTEMPTS):
            if _lock(file, fcntl.LOCK_EX):
                break
            time.sleep(PAUSE_SECONDS)
        else:
            raise ConfigurationError(
                f"Another process uses {directory.parent}. Stop it with `coatcheck stop`, or choose another --data-dir."
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def holder(directory: Path) -> int | None:
    """The id of the process that holds the lock; None if none does.

    Raises:
        OSError: the lock file cannot be opened.
    """
    try:
        file = _file_of(directory).open()
    except FileNotFoundError:
        return None
    with file:
        while not _lock(file, fcntl.LOCK_SH):
            # It is empty for an instant, between the lock and the writing.
            if written := file.read():
                return int(written)
            time.sleep(PAUSE_SECONDS)
    return None


def _lock(file: TextIO, kind: int) -> bool:
    try:
        # The kernel releases it with the process, however that ends: a file alone would outlive a killed one.
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
