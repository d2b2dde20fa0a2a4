"""The directory of a sandbox: its files, and the settings with which other commands work on it.

DIR/postgres          the embedded database          DIR/master.key         wraps its keys (0600)
DIR/credentials.json  addresses, ids, keys (0600)    DIR/seed               the --seed of the first run
DIR/sandbox.log       the output of a sandbox in the background (0600)
"""

import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from coatcheck.errors import ConfigurationError

DEFAULT = Path("~/.coatcheck/sandbox")
DATABASE, CREDENTIALS, MASTER_KEY, SEED, LOG = (
    "postgres", "credentials.json", "master.key", "seed", "sandbox.log"
)  # fmt: skip

OfSandbox = Annotated[Path, typer.Option("--data-dir", readable=False, help="The directory of the sandbox.")]

selected: ContextVar[Path | None] = ContextVar("selected", default=None)
"""The directory that the option --data-dir of the running command names."""


@dataclass(frozen=True, slots=True)
class ProcessorCredentials:
    processor_id: str
    api_key: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The content of `credentials.json`."""

    base_url: str
    client_id: str
    client_api_key: str = field(repr=False)
    processors: tuple[ProcessorCredentials, ...]
    database_url: str = ""
    webhook_endpoint: str | None = None
    """The guid of the webhook endpoint at the URL of `--webhooks-to`; None without it."""
    webhook_secret: str | None = field(default=None, repr=False)
    """Signs what is sent to that URL: events, and MX's webhooks."""


def resolve(directory: Path) -> Path:
    """The absolute path.

    Raises:
        ConfigurationError: there is no such user, the path is a loop of links, or PostgreSQL refuses it.
    """
    try:
        path = directory.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"--data-dir is not a usable path: {error}.") from None
    if not str(path).isprintable():
        raise ConfigurationError("--data-dir must not contain a line break or another control character.")
    return path


def create(directory: Path) -> None:
    """Creates the directory if it is missing.

    Raises:
        ConfigurationError: files cannot be created in it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        write_file(probe, "")
        probe.unlink()
    except OSError as error:
        raise unusable(directory, error) from error


def unusable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be used: {error.strerror}. Choose another --data-dir.")


def stored_seed(directory: Path, seed: int | None) -> int | None:
    """The seed of the sandbox's data; None without one. The first run stores it in the directory.

    Raises:
        ConfigurationError: the directory was created with another seed, or cannot be used.
    """
    file = directory / SEED
    try:
        if not file.exists():
            write_file(file, "" if seed is None else str(seed))
        stored = file.read_text().strip()
    except OSError as error:
        raise unusable(file, error) from error
    except UnicodeDecodeError:
        stored = "?"
    if stored and not stored.isdecimal():
        raise ConfigurationError(f"{file} contains no seed. Choose another --data-dir.")
    if seed is not None and stored != str(seed):
        created = f"with --seed {stored}" if stored else "without a seed"
        raise ConfigurationError(
            f"{directory} was created {created}. Leave --seed out, or choose another --data-dir."
        )
    return int(stored) if stored else None


def write_file(file: Path, text: str) -> None:
    """Writes the whole file or nothing. Only its owner can read it."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    # O_EXCL follows no link, which another user could put into a shared directory to have a file of ours overwritten.
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    new.replace(file)


def read_credentials(directory: Path) -> Credentials | None:
    """The credentials of the directory; None if there are none yet.

    Raises:
        ConfigurationError: the file cannot be read, or has another content.
    """
    file = directory / CREDENTIALS
    try:
        content = json.loads(file.read_text())
        processors = tuple(ProcessorCredentials(**processor) for processor in content.pop("processors"))
        return Credentials(**content, processors=processors)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(file, error) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{file} cannot be read: {type(error).__name__}. Delete it: the next start creates new credentials."
        ) from None


def find_credentials(directory: Path) -> Credentials:
    """The credentials of a sandbox that was started before.

    Raises:
        ConfigurationError: there are none, or the file cannot be read.
    """
    found = read_credentials(directory)
    if found is None or not found.database_url:
        raise ConfigurationError(
            f"{directory} is not the directory of a sandbox of this version."
            " Start one on it with `coatcheck sandbox --detach --data-dir ...`, or name another --data-dir."
        )
    return found


def settings_of(directory: Path) -> Mapping[str, Any]:
    """The settings of the sandbox that the directory determines, except where its database is."""
    seed = stored_seed(directory, None)
    return {
        "master_key": "",
        "master_key_file": str(directory / MASTER_KEY),
        "sandbox": True,
        "seed": seed,
        "connectors": ("sandbox",),
        "connector": {} if seed is None else {"sandbox": {"seed": seed}},
    }


def ignore_libpq_environment() -> None:
    """Removes the variables that change how libpq connects: PGSERVICE, PGOPTIONS, PGPORT and the like.

    They are made for another database than the embedded one.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
