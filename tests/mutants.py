"""Runs mutmut with a PostgreSQL that all its processes share.

python -m tests.mutants [arguments of `mutmut run`]     # for example 'coatcheck.grants.scope.*'
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.databases import postgres


def main() -> int:
    mutmut = Path(sys.executable).parent / "mutmut"
    with postgres() as url:
        return subprocess.run(
            [mutmut, "run", *sys.argv[1:]], env={**os.environ, "TEST_SERVER_URL": url}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
