"""`coatcheck processor show` and `set-...`: how a processor authenticates, and what its tokens are bound to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli.console import AsJson, print_done, print_facts
from coatcheck.cli.lookups import ProcessorGuid, named_processor
from coatcheck.cli.processors import command_group
from coatcheck.cli.runtime import change, read
from coatcheck.db import database
from coatcheck.errors import InvalidRequest
from coatcheck.model import clients, processor_authentication, processor_security

__all__ = ["command_group"]

MAX_FILE_BYTES = 256 * 1024
Change: TypeAlias = (
    "Callable[[app.Services, database.Connection], Awaitable[processor_security.ProcessorSecurity]]"
)
File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The file to read.")]


@command_group.command("show")
def show(processor: ProcessorGuid, as_json: AsJson = False) -> None:
    """Shows a processor with its keys, certificates and security settings.

    Example: coatcheck processor show PPR-...
    """

    async def find(
        _: app.Services, connection: database.Connection
    ) -> tuple[clients.Processor, processor_security.ProcessorSecurity]:
        found = await named_processor(connection, processor)
        return found, await processor_security.find_processor_security(connection, processor)

    found, security = read(find)
    facts = {
        "processor_id": found.guid,
        "name": found.name,
        "is_disabled": found.is_disabled,
        "owners_at_transactions": found.owners_at_transactions,
        "numbers_as_strings": found.numbers_as_strings,
        "created_at": found.created_at,
    }
    print_facts(facts | _facts(security), as_json=as_json)


@command_group.command("set-authentication")
def set_authentication(
    processor: ProcessorGuid,
    method: Annotated[
        processor_authentication.ClientAuthentication,
        typer.Argument(help="How it authenticates from now on."),
    ],
    as_json: AsJson = False,
) -> None:
    """Sets how a processor authenticates when it exchanges a code. The previous method is refused at once.

    Example: coatcheck processor set-authentication PPR-... private_key_jwt
    """
    _change(
        processor,
        lambda services, connection: services.processors.security.set_client_authentication(
            connection, processor, method, actor=OPERATOR
        ),
        as_json=as_json,
    )


@command_group.command("set-sender-constraint")
def set_sender_constraint(
    processor: ProcessorGuid,
    constraint: Annotated[
        processor_authentication.SenderConstraint, typer.Argument(help="What its tokens must be bound to.")
    ],
    as_json: AsJson = False,
) -> None:
    """Binds a processor's tokens to its key or certificate. Its tokens that are not bound end at once.

    Example: coatcheck processor set-sender-constraint PPR-... dpop
    """
    _change(
        processor,
        lambda services, connection: services.processors.security.set_sender_constraint(
            connection, processor, constraint, actor=OPERATOR
        ),
        as_json=as_json,
    )


@command_group.command("set-profile")
def set_profile(
    processor: ProcessorGuid,
    profile: Annotated[processor_authentication.Profile, typer.Argument(help="The security profile.")],
    as_json: AsJson = False,
) -> None:
    """Switches the FAPI 2.0 Security Profile of a processor on or off.

    Example: coatcheck processor set-profile PPR-... fapi2
    """
    _change(
        processor,
        lambda services, connection: services.processors.security.set_profile(
            connection, processor, profile, actor=OPERATOR
        ),
        as_json=as_json,
    )


@command_group.command("set-jwks")
def set_jwks(processor: ProcessorGuid, file: File, as_json: AsJson = False) -> None:
    """Replaces a processor's public keys by those of a JWK set. The previous keys are refused at once.

    Example: coatcheck processor set-jwks PPR-... jwks.json
    """
    text = _content(file).decode("utf-8", "replace")
    _change(
        processor,
        lambda services, connection: services.processors.security.set_jwks(
            connection, processor, text, actor=OPERATOR
        ),
        as_json=as_json,
    )


@command_group.command("set-certificates")
def set_certificates(processor: ProcessorGuid, file: File, as_json: AsJson = False) -> None:
    """Replaces a processor's TLS certificates by those of a PEM file. The previous ones are refused at once.

    Example: coatcheck processor set-certificates PPR-... certificates.pem
    """
    pem = _content(file)
    _change(
        processor,
        lambda services, connection: services.processors.security.set_certificates(
            connection, processor, pem, actor=OPERATOR
        ),
        as_json=as_json,
    )


def _change(processor: str, act: Change, *, as_json: bool) -> None:
    async def named(
        services: app.Services, connection: database.Connection
    ) -> processor_security.ProcessorSecurity:
        await named_processor(connection, processor)
        return await act(services, connection)

    facts = {"processor_id": processor} | _facts(change(named))
    print_done(facts, f"Changed. To see the settings: coatcheck processor show {processor}", as_json=as_json)


def _facts(security: processor_security.ProcessorSecurity) -> dict[str, object]:
    keys = json.loads(security.jwks)["keys"] if security.jwks else []
    return {
        "client_authentication": security.client_authentication,
        "sender_constraint": security.sender_constraint,
        "profile": security.profile,
        "keys": [key.get("kid") for key in keys],
        "certificate_thumbprints": security.certificate_thumbprints,
    }


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidRequest(f"{file} is larger than {MAX_FILE_BYTES // 1024} kB.")
    return content
