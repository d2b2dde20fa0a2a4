"""Imports what a command needs when it first uses it: the help of a command takes 0.2 seconds instead of two.

The modules of the commands import modules, not names (`from coatcheck.model import clients`), and use them in functions
only.
"""

import gc
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

LIBRARIES = frozenset({"httpx", "psycopg", "structlog", "uvloop"})
"""Large ones. One module of `cli` imports each: a second `import` of the name would execute it. Their own modules are
not deferred: a library may expect that an import fails."""

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


@contextmanager
def deferred() -> Iterator[None]:
    """Defers the imports of the block."""
    sys.meta_path.insert(0, _Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_Finder)


def load() -> None:
    """Imports now what was deferred, before threads could use it at the same time."""
    gc.disable()  # searching modules for garbage takes a tenth of the time
    while _deferred:
        sys.modules[_deferred.pop(0)].__doc__  # noqa: B018 (reading an attribute executes the module)
    gc.enable()
    gc.freeze()  # modules stay: no collection needs to look at them again
