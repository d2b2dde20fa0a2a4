"""`coatcheck simplefin`: access for apps that read SimpleFIN."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from coatcheck import app
from coatcheck.audit.entries import OPERATOR
from coatcheck.cli.console import AsJson, print_facts
from coatcheck.cli.lookups import ClientGuid, named_client
from coatcheck.cli.runtime import change
from coatcheck.db import database
from coatcheck.directory import apps
from coatcheck.errors import NotFound
from coatcheck.grants import setup_tokens
from coatcheck.model import accounts, paging, users

command_group = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Access for apps that read SimpleFIN."
)

UserId = Annotated[
    str, typer.Argument(metavar="USER", help="The id of the user, USR-..., or the client's own.")
]
SHOWN_ONCE = "Paste the token into the app within 24 hours. It works once, and is not shown again."


@command_group.callback()
def _group() -> None:
    """Access for apps that read SimpleFIN."""


@command_group.command("create")
def create(  # noqa: PLR0913 (one option for each limit)
    client: ClientGuid,
    user: UserId,
    app_name: Annotated[str, typer.Option("--app", help="The name of the app, such as Actual.")],
    account: Annotated[
        list[str] | None,
        typer.Option("--account", help="Only this account. May be repeated. Default: all that are open."),
    ] = None,
    expires_in_days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="When the access ends. Default: app_token_ttl.")
    ] = None,
    lookback_days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="How far back it reads.")
    ] = None,
    max_reads: Annotated[int | None, typer.Option(min=1, help="How often each account is read.")] = None,
    as_json: AsJson = False,
) -> None:
    """Creates a setup token, with which an app gets access to accounts of a user.

    Example: coatcheck simplefin create CLT-... USR-... --app Actual --lookback-days 90
    """

    async def act(services: app.Services, connection: database.Connection) -> apps.SetupToken:
        await named_client(connection, client)
        found = await users.find_user(connection, client, user)
        lifetime = None if expires_in_days is None else timedelta(days=expires_in_days)
        new = apps.NewSetupToken(
            account_guids=account or await _open_accounts(connection, found),
            app_name=app_name,
            expires_in=None if lifetime is None else int(lifetime.total_seconds()),
            lookback_days=lookback_days,
            max_reads=max_reads,
        )
        return await services.apps.create_setup_token(connection, found, new, actor=OPERATOR)

    created = change(act)
    facts = {
        "guid": created.guid,
        "token": created.token,
        "app_name": created.app_name,
        "account_guids": list(created.account_guids),
        "expires_at": created.expires_at,
    }
    print_facts(facts, as_json=as_json, note=SHOWN_ONCE)


async def _open_accounts(connection: database.Connection, user: users.User) -> list[str]:
    page = paging.PageRequest(size=setup_tokens.MAX_ACCOUNTS)
    found = await accounts.list_accounts(connection, user.guid, page)
    guids = [each.guid for each in found.items if not (each.is_closed or each.is_hidden)]
    if not guids:
        raise NotFound("The user has no open account. Connect one first.")
    return guids
