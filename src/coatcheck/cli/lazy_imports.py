"""Imports what a command needs when it first uses it: the help of a command takes 0.2 seconds instead of two.

The modules of the commands import modules, not names (`from coatcheck.model import clients`), and use them in functions
only.
"""

import gc
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

LIBRARIES = frozenset({"httpx", "psycopg", "structlog", "uvloop"})
"""Large ones. One module of `cli` imports each: a second `import` of the name would execute it. Their own modules are
not deferred: a library may expect that an import fails."""

UNUSED = frozenset({"greenlet", "httpx._main", "rich", "rich.traceback"})
"""What `httpx` and `structlog` import if it is installed, and do without: the command of the one, and of the other
tracebacks in colour and threads of another kind. With them a process takes 7 MB more."""

_deferred: list[str] = []


class _Finder:
    """Finds a module whose code is executed when an attribute of the module is first read."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in LIBRARIES and not name.startswith("coatcheck."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
            _deferred.append(name)
        return spec


class _Refusal:
    """Refuses the modules of `UNUSED`."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG004 (the protocol of finders)
        target: ModuleType | None = None,  # noqa: ARG004
    ) -> None:
        if name in UNUSED:
            raise ModuleNotFoundError(name, name=name)


def deferred() -> AbstractContextManager[None]:
    """Defers the imports of the block."""
    return _first(_Finder)


@contextmanager
def _first(finder: Any) -> Iterator[None]:
    """Asks the finder before all others in the block."""
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def load() -> None:
    """Imports now what was deferred, before threads could use it at the same time."""
    gc.disable()  # searching modules for garbage takes a tenth of the time
    with _first(_Refusal):
        for name in ("httpx", "structlog"):
            importlib.import_module(name)
            _execute(name)
    while _deferred:
        _execute(_deferred.pop(0))
    gc.enable()
    gc.freeze()  # modules stay: no collection needs to look at them again
    # New objects before the next collection. By default it is 700, and requests spent a twentieth of their time on
    # collections that freed almost nothing.
    gc.set_threshold(10_000)


def _execute(name: str) -> None:
    sys.modules[name].__doc__  # noqa: B018 (reading an attribute executes the module)
