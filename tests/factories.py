"""Factories: `make_x(services, **overrides)` creates a record with default values for the other fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from coatcheck.app import Services
from coatcheck.directory.client_rows import add_client
from coatcheck.directory.processor_rows import add_processor, enable_processor
from coatcheck.directory.user_rows import add_user
from coatcheck.grants.scope import Scope, parse_scope
from coatcheck.ids import new
from coatcheck.members.account_rows import put_account
from coatcheck.model.accounts import Account
from coatcheck.model.categories import categorize
from coatcheck.model.clients import Client, Processor
from coatcheck.model.users import User
from coatcheck.signatures import DocumentType
from coatcheck.vault.vault import AccountNumbers, AccountOwner, SecretKind

PDF = b"%PDF-1.4 a statement"


@dataclass(frozen=True)
class Keyed:
    """A client or a processor, with its API key."""

    guid: str
    api_key: str

    @property
    def auth(self) -> tuple[str, str]:
        return self.guid, self.api_key


async def make_client(services: Services, **overrides: Any) -> Keyed:
    given = {"name": "Acme", "webhook_url": None, "is_disabled": False} | overrides
    client = Client(guid=new("CLT"), created_at=services.clock.now(), **given)
    async with services.db.transaction() as connection:
        await add_client(connection, client)
        return Keyed(client.guid, await services.api_keys.issue(connection, client.guid))


async def make_processor(services: Services, *enabled_for: Keyed, **overrides: Any) -> Keyed:
    given = {
        "name": "Test processor",
        "owners_at_transactions": False,
        "numbers_as_strings": False,
        "is_disabled": False,
    } | overrides
    processor = Processor(guid=new("PPR"), created_at=services.clock.now(), **given)
    async with services.db.transaction() as connection:
        await add_processor(connection, processor)
        for client in enabled_for:
            await enable_processor(
                connection, client_guid=client.guid, processor_guid=processor.guid, now=services.clock.now()
            )
        return Keyed(processor.guid, await services.api_keys.issue(connection, processor.guid))


async def make_user(services: Services, client: Keyed, **overrides: Any) -> User:
    given = {"id": None, "email": None, "metadata": None, "is_disabled": False} | overrides
    user = User(guid=new("USR"), client_guid=client.guid, created_at=services.clock.now(), **given)
    async with services.db.transaction() as connection:
        await add_user(connection, user)
    return user


async def make_account(
    services: Services,
    user: User,
    *,
    account_number: str | None = "1234567890",
    routing_number: str = "091000019",
    owner_name: str = "Ada Example",
    **overrides: Any,
) -> Account:
    """A checking account of a new member. It is verified unless `account_number` is None."""
    now = services.clock.now()
    member_guid = new("MBR")
    account = Account(
        guid=new("ACT"),
        user_guid=user.guid,
        client_guid=user.client_guid,
        member_guid=member_guid,
        **{
            "type": "CHECKING",
            "name": "Everyday Checking",
            "balance": Decimal("1000.00"),
            "available_balance": Decimal("950.25"),
            "currency_code": "USD",
            "created_at": now,
            "updated_at": now,
        }
        | overrides,
    )
    async with services.db.transaction() as connection:
        await connection.execute(
            """INSERT INTO member (user_guid, guid, client_guid, institution_code, institution_guid, name,
                                   connection_status, created_at, updated_at)
               VALUES (%s, %s, %s, 'mxbank', 'INS-test', 'MX Bank', 'CONNECTED', %s, %s)""",
            (user.guid, member_guid, user.client_guid, now, now),
        )
        await put_account(connection, account)
        if account_number is not None:
            await services.vault.store_numbers(
                connection,
                user_guid=user.guid,
                member_guid=member_guid,
                numbers=[
                    AccountNumbers(
                        account_guid=account.guid,
                        account_number=account_number,
                        routing_number=routing_number,
                    )
                ],
            )
            await services.vault.store_owners(
                connection,
                user_guid=user.guid,
                member_guid=member_guid,
                owners=[AccountOwner(account_guid=account.guid, owner_name=owner_name)],
            )
    return account


def scope_of(account: Account, *, reads_protected: bool = True, atoms: str = "") -> Scope:
    """The scope of an account, with these atoms beside the three guids and `read-protected`."""
    guids = f"user-guid:{account.user_guid} member-guid:{account.member_guid} account-guid:{account.guid}"
    return parse_scope(f"{guids} {'read-protected' if reads_protected else ''} {atoms}")


async def make_code(services: Services, account: Account, **overrides: Any) -> str:
    async with services.db.connection() as connection:
        return await services.issuer.issue_authenticated(
            connection,
            client_guid=account.client_guid,
            scope=scope_of(account, **overrides),
        )


async def make_token(services: Services, account: Account, processor: Keyed, **overrides: Any) -> str:
    code = await make_code(services, account, **overrides)
    issued = await services.exchange.redeem(
        processor_guid=processor.guid, api_key=processor.api_key, code=code
    )
    return issued.access_token


async def make_transaction(services: Services, account: Account, **overrides: Any) -> str:
    now = services.clock.now()
    category, top_level = categorize(overrides.pop("category", "Groceries"))
    values = {
        "user_guid": account.user_guid,
        "guid": new("TRN"),
        "member_guid": account.member_guid,
        "account_guid": account.guid,
        "id": new("BANK"),
        "amount": "12.34",
        "type": "DEBIT",
        "status": "POSTED",
        "date": now.date(),
        "description": "Corner shop",
        "original_description": "CORNER SHOP 0042",
        "category": category.name,
        "category_guid": category.guid,
        "top_level_category": top_level.name,
        "top_level_category_guid": top_level.guid,
        "created_at": now,
        "updated_at": now,
    } | overrides
    await _insert(services, "transaction", values)
    return str(values["guid"])


async def make_job(services: Services, account: Account, **overrides: Any) -> str:
    """The guid of a job of the account's member. It has ended."""
    now, guid = services.clock.now(), new("JOB")
    await _insert(
        services,
        "member_job",
        {
            "user_guid": account.user_guid,
            "guid": guid,
            "client_guid": "CLT-unknown",
            "member_guid": account.member_guid,
            "institution_code": "mxbank",
            "kind": "AGGREGATION",
            "state": "ended",
            "requested_by": "CLT-unknown",
            "created_at": now,
            "queued_at": now,
        }
        | overrides,
    )
    return guid


async def make_statement(services: Services, account: Account, **overrides: Any) -> str:
    now = services.clock.now()
    values = {
        "user_guid": account.user_guid,
        "guid": new("STA"),
        "member_guid": account.member_guid,
        "account_guid": account.guid,
        "id": new("BANK"),
        "content_hash": "0" * 64,
        "created_at": now,
        "updated_at": now,
    } | overrides
    await _insert(services, "statement", values)
    async with services.db.transaction() as connection:
        await services.vault.store_secret(
            connection,
            owner_guid=account.user_guid,
            record_guid=str(values["guid"]),
            kind=SecretKind.STATEMENT,
            value=PDF,
        )
    return str(values["guid"])


async def make_disclosure(services: Services, user: User, *processors: Keyed, **overrides: Any) -> str:
    """What the user agreed to, with a text and a statement that are not the widget's."""
    now, guid = services.clock.now(), new("DSC")
    async with services.db.connection() as connection:
        key = await services.signing_keys.current(connection)
    values = {
        "guid": guid,
        "client_guid": user.client_guid,
        "user_guid": user.guid,
        "session_guid": new("WSN"),
        "processor_guids": [each.guid for each in processors],
        "text": "I agree.",
        "signed_at": now,
        "last_granted_at": now,
        "statement": key.sign(DocumentType.DISCLOSURE, {"jti": guid}),
    } | overrides
    await _insert(services, "authorization_disclosure", values)
    return str(values["guid"])


async def make_attestation(services: Services, client: Keyed) -> str:
    """The attestation of a user of the client that was deleted."""
    user = await make_user(services, client)
    async with services.db.transaction() as connection:
        return (await services.users.delete(connection, user, actor=client.guid)).guid


async def _insert(services: Services, table: str, values: Mapping[str, Any]) -> None:
    names = ", ".join(values)
    marks = ", ".join(f"%({name})s" for name in values)
    async with services.db.transaction() as connection:
        await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
