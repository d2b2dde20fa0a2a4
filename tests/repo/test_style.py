"""Style rules that ruff does not have: lengths of functions and files, private names and clocks in tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guides import ROOT, tracked

MAX_FUNCTION_LINES = 40
"""Of a function's body without its docstring; ruff has the limits of parameters, statements and branches."""
MAX_FILE_LINES = 500
TABLES = {
    "connectors/sandbox/merchants.py",
}
"""Files that declare data. A migration is one too: it is never edited again."""
CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}
SOURCE = ROOT / "src/coatcheck"
PUBLIC_BY_CONTRACT = {"_replace", "_asdict", "_fields"}
"""The public methods and fields of named tuples, which begin with an underscore."""


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """The name and the number of lines of each function's body."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[ast.get_docstring(node) is not None :]
            yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def sources() -> dict[str, Path]:
    paths = {str(path.relative_to(SOURCE)): path for path in tracked("src/coatcheck/*.py")}
    return {name: path for name, path in paths.items() if not name.startswith("migrations/versions/")}


def test_no_function_has_more_than_40_lines() -> None:
    long = {
        f"{name}: {function}"
        for name, path in sources().items()
        for function, lines in functions(path)
        if lines > MAX_FUNCTION_LINES
    }
    assert long == set()


def test_no_file_has_more_than_500_lines() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in sources().items()}
    assert {
        name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES and name not in TABLES
    } == {}


def private_names(path: Path) -> Iterator[str]:
    """The private names of other modules and objects that a test file reaches."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.ImportFrom(names=names):
                yield from (each.name for each in names)
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name):
                yield name
            case ast.Call(func=ast.Attribute(attr="setattr") | ast.Name(id="getattr"), args=arguments):
                texts = [each.value for each in arguments if isinstance(each, ast.Constant)]
                yield from (str(text).rpartition(".")[2] for text in texts)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC_BY_CONTRACT


@pytest.mark.parametrize("path", tracked("tests/*.py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_reaches_no_private_name(path: Path) -> None:
    assert {name for name in private_names(path) if is_private(name)} == set()


def test_a_private_name_is_found_however_it_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(
        "from a import _one\nb._two\nb()._three = 1\ngetattr(b, '_four')\nmonkeypatch.setattr(b, '_five', 1)\n"
        "monkeypatch.setattr('a.b._six', 1)\n"
        "self._mine\nurl._replace(path='')\nb.__name__\n_local = 1\n"
    )
    found = {name for name in private_names(path) if is_private(name)}
    assert found == {"_one", "_two", "_three", "_four", "_five", "_six"}


# --- the clock ---------------------------------------------------------------------------------------------


def equal_to_a_clock(path: Path) -> Iterator[int]:
    """The lines of assertions that compare an instant for equality with a later reading of the clock.

    They fail when a second begins between the two. Read the clock before and after, and compare with both.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Assert):
            compared = [each for each in ast.walk(node.test) if isinstance(each, ast.Compare)]
            equal = [each for each in compared if any(isinstance(sign, ast.Eq) for sign in each.ops)]
            if any(reads_clock(each) for compare in equal for each in ast.walk(compare)):
                yield node.lineno


def reads_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS


@pytest.mark.parametrize("path", tracked("tests/*.py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_asserts_equality_with_a_clock_that_it_reads_afterwards(path: Path) -> None:
    assert list(equal_to_a_clock(path)) == []


def test_an_assertion_about_a_clock_is_found(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(
        "assert at == clock.now() + day\nassert before <= at <= clock.now()\nassert f'{x.now():%Y}' == y\n"
    )
    assert list(equal_to_a_clock(path)) == [1, 3]
