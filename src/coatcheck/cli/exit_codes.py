"""Exit codes of the commands, one for each kind of failure."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from coatcheck.errors import (
    CoatcheckError,
    ConfigurationError,
    DatabaseRefused,
    DatabaseUnreachable,
    InvalidRequest,
    MasterKeyMissing,
    NotFound,
    NotGenuine,
    NotMigrated,
    ProcessorNotRunning,
    Refusal,
    SandboxNotRunning,
    SealBroken,
    Unavailable,
)


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    DATABASE = 4
    NOT_MIGRATED = 5
    NOT_FOUND = 6
    REFUSED = 7
    UNHEALTHY = 8
    NOT_GENUINE = 9
    ALTERED = 10
    NOT_RUNNING = 11
    INTERRUPTED = 130


MEANINGS: Mapping[ExitCode, str] = MappingProxyType(
    {
        ExitCode.OK: "The command succeeded.",
        ExitCode.FAILED: "Another error, such as a sandbox that did not start.",
        ExitCode.USAGE: "A command, an option or a value is not valid.",
        ExitCode.CONFIGURATION: "A setting, a master key or a file is missing or not usable.",
        ExitCode.DATABASE: "The database cannot be reached, or it refused a statement.",
        ExitCode.NOT_MIGRATED: "The database has an older schema: run `coatcheck migrate`.",
        ExitCode.NOT_FOUND: "The named client or processor does not exist.",
        ExitCode.REFUSED: "The change is not allowed in the present state.",
        ExitCode.UNHEALTHY: "`coatcheck doctor` found a failure.",
        ExitCode.NOT_GENUINE: "A signed document was altered, or no published key signed it.",
        ExitCode.ALTERED: "`coatcheck audit verify` found that the audit log was altered.",
        ExitCode.NOT_RUNNING: (
            "No sandbox runs on the data directory, or nothing answers at the address of the processor under test."
        ),
        ExitCode.INTERRUPTED: "Interrupted with Ctrl-C.",
    }
)
"""What each code means, in the words of docs/reference/commands.md."""

CODES: Mapping[type[CoatcheckError], ExitCode] = MappingProxyType(
    {
        ConfigurationError: ExitCode.CONFIGURATION,
        MasterKeyMissing: ExitCode.CONFIGURATION,
        SealBroken: ExitCode.CONFIGURATION,
        DatabaseUnreachable: ExitCode.DATABASE,
        DatabaseRefused: ExitCode.DATABASE,
        SandboxNotRunning: ExitCode.NOT_RUNNING,
        ProcessorNotRunning: ExitCode.NOT_RUNNING,
        Unavailable: ExitCode.DATABASE,
        NotMigrated: ExitCode.NOT_MIGRATED,
        NotGenuine: ExitCode.NOT_GENUINE,
        NotFound: ExitCode.NOT_FOUND,
        InvalidRequest: ExitCode.USAGE,
        Refusal: ExitCode.REFUSED,
        CoatcheckError: ExitCode.FAILED,
    }
)


def exit_code(error: CoatcheckError) -> ExitCode:
    """The code of the error's most specific class."""
    return next(CODES[each] for each in type(error).__mro__ if each in CODES)
