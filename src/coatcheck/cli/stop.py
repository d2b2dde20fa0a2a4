"""`coatcheck stop`: stops a sandbox, wherever it was started."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from coatcheck.cli import data_directory, directory_lock
from coatcheck.cli.console import AsJson, err, print_done
from coatcheck.cli.data_directory import OfSandbox
from coatcheck.errors import OperatorError

PATIENCE = timedelta(seconds=20)
"""A sandbox stops within 10 seconds."""
PAUSE = timedelta(seconds=0.05)


def stop(data_dir: OfSandbox = data_directory.DEFAULT, as_json: AsJson = False) -> None:
    """Stops the sandbox of a directory, and returns when it and its database have ended. The data stays.

    If none runs there, nothing is done.

    Example: coatcheck stop --data-dir ./sandbox
    """
    directory = data_directory.resolve(data_dir)
    with err.status("Stopping the sandbox"):
        is_stopped = _stop(directory)
    sentence = "Stopped." if is_stopped else f"No sandbox runs on {directory}."
    print_done({"data_dir": str(directory), "stopped": is_stopped}, sentence, as_json=as_json)


def _stop(directory: Path) -> bool:
    """Returns whether one was running.

    Raises:
        OperatorError: it belongs to another user, or does not end.
    """
    database = directory / data_directory.DATABASE
    try:
        process = directory_lock.holder(database)
        if process is None:
            return False
        os.kill(process, signal.SIGTERM)
    except PermissionError:
        raise OperatorError(
            f"The sandbox on {directory} belongs to another user. Stop it as that user."
        ) from None
    except ProcessLookupError:
        pass  # it has just ended
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while directory_lock.holder(database) == process:
        if time.monotonic() > deadline:
            raise OperatorError(f"The sandbox did not stop. To end it at once: kill -9 {process}")
        time.sleep(PAUSE.total_seconds())
    return True
