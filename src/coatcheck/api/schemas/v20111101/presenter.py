"""How v20111101 shows every noun."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from msgspec.structs import replace

from coatcheck.api.presenter import NO_MERCHANTS, Include
from coatcheck.api.schemas.encoding import encode, number_or_text, picture, to_schema, to_schemas
from coatcheck.api.schemas.v20111101 import accounts, schemas, token_schemas
from coatcheck.api.schemas.v20111101.includes import extras
from coatcheck.connectors.contract import CredentialField, Institution, JobKind
from coatcheck.connectors.registry import ListedMerchant
from coatcheck.grants.issuer import IssuedToken
from coatcheck.members.records import Challenge
from coatcheck.model.accounts import Account
from coatcheck.model.categories import BY_NAME, Category
from coatcheck.model.members import Member
from coatcheck.model.micro_deposits import DepositAccount, MicroDeposit
from coatcheck.model.paging import Page
from coatcheck.model.statements import Statement
from coatcheck.model.statuses import ConnectionStatus, message
from coatcheck.model.tokens import TokenRow
from coatcheck.model.transactions import Transaction
from coatcheck.model.users import User
from coatcheck.vault.vault import AccountNumbers, AccountOwner

NEEDS_CREDENTIALS = frozenset(
    {
        ConnectionStatus.PREVENTED,
        ConnectionStatus.DENIED,
        ConnectionStatus.IMPORTED,
        ConnectionStatus.IMPAIRED,
    }
)
"""Where only new credentials can help."""

FEED = {
    name: name.removeprefix("feed_")
    for name in accounts.Account.__struct_fields__
    if name.removeprefix("feed_") in Account.__slots__ and name.startswith("feed_")
}
"""What the bank itself said of an account, and the field it ended up in."""


def pagination(listing: Page[Any]) -> schemas.Pagination:
    """An empty list has one page, as in MX's answers."""
    pages = max(1, -(-listing.total // listing.page.size))
    return schemas.Pagination(listing.page.number, listing.page.size, listing.total, pages)


def institution_parts(institution: Institution) -> dict[str, Any]:
    """What no field of the record is called."""
    logo = picture(institution.logo_svg)
    return {"small_logo_url": logo, "medium_logo_url": logo}


def member_parts(member: Member, oauth_window_uri: str | None = None) -> dict[str, Any]:
    """What no field of the record is called, or what must not be null."""
    status = ConnectionStatus(member.connection_status) if member.connection_status else None
    return {
        "connection_status_message": status and message(status, member.name),
        "needs_updated_credentials": status in NEEDS_CREDENTIALS,
        "oauth_window_uri": oauth_window_uri,
        "use_cases": member.use_cases or [],
    }


def _institution(institution: Institution) -> schemas.Institution:
    return to_schema(
        institution,
        schemas.Institution,
        supports_account_identification=JobKind.IDENTIFICATION in institution.supports,
        supports_account_statement=JobKind.STATEMENT in institution.supports,
        supports_account_verification=JobKind.VERIFICATION in institution.supports,
        supports_transaction_history=JobKind.HISTORY in institution.supports,
        **institution_parts(institution),
    )


def _member(member: Member, oauth_window_uri: str | None = None) -> schemas.Member:
    # The record knows a job's guid, which this dialect must not show.
    return to_schema(
        member, schemas.Member, most_recent_job_guid=None, **member_parts(member, oauth_window_uri)
    )


def _account(account: Account) -> accounts.Account:
    shape = to_schema(account, accounts.Account)
    if account.is_manual:
        return shape
    return replace(shape, **{name: getattr(account, source) for name, source in FEED.items()})


def _statement(statement: Statement) -> schemas.Statement:
    path = f"/users/{statement.user_guid}/members/{statement.member_guid}/statements/{statement.guid}.pdf"
    return to_schema(statement, schemas.Statement, uri=path)


def _micro_deposit(deposit: MicroDeposit, account: DepositAccount) -> schemas.MicroDeposit:
    return to_schema(
        deposit,
        schemas.MicroDeposit,
        account_name=account.account_name,
        account_number=account.account_number or "",
        account_type=deposit.account_type or "",
        email=account.email,
        first_name=account.first_name,
        last_name=account.last_name,
        routing_number=account.routing_number or "",
    )


def _category(category: Category) -> schemas.Category:
    income = BY_NAME["Income"].guid
    return to_schema(category, schemas.Category, is_income=income in {category.guid, category.parent_guid})


def _merchant(listed: ListedMerchant) -> schemas.Merchant:
    return to_schema(listed.merchant, schemas.Merchant, guid=listed.guid)


class V20111101:
    """Satisfies `Wire`. What a method shows stands in the annotation of its answer, for the OpenAPI document."""

    @property
    def version(self) -> str:
        return "v20111101"

    def show_user(self, user: User) -> Annotated[bytes, schemas.UserBody]:
        return encode(schemas.UserBody(to_schema(user, schemas.User)))

    def show_users(self, users: Page[User]) -> Annotated[bytes, schemas.UsersBody]:
        return encode(schemas.UsersBody(to_schemas(users.items, schemas.User), pagination(users)))

    def show_institution(self, institution: Institution) -> Annotated[bytes, schemas.InstitutionBody]:
        return encode(schemas.InstitutionBody(_institution(institution)))

    def show_institutions(
        self, institutions: Page[Institution]
    ) -> Annotated[bytes, schemas.InstitutionsBody]:
        return encode(
            schemas.InstitutionsBody(
                [_institution(each) for each in institutions.items], pagination(institutions)
            )
        )

    def show_credentials(
        self, credentials: Page[CredentialField]
    ) -> Annotated[bytes, schemas.CredentialsBody]:
        items = [to_schema(each, schemas.Credential, type=each.field_type) for each in credentials.items]
        return encode(schemas.CredentialsBody(items, pagination(credentials)))

    def show_member(
        self, member: Member, oauth_window_uri: str | None = None
    ) -> Annotated[bytes, schemas.MemberBody]:
        return encode(schemas.MemberBody(_member(member, oauth_window_uri)))

    def show_members(self, members: Page[Member]) -> Annotated[bytes, schemas.MembersBody]:
        return encode(schemas.MembersBody([_member(each) for each in members.items], pagination(members)))

    def show_member_status(
        self, member: Member, challenges: Sequence[Challenge]
    ) -> Annotated[bytes, schemas.MemberStatusBody]:
        shown = to_schemas(challenges, schemas.Challenge)
        return encode(schemas.MemberStatusBody(to_schema(member, schemas.MemberStatus, challenges=shown)))

    def show_challenges(self, challenges: Page[Challenge]) -> Annotated[bytes, schemas.ChallengesBody]:
        return encode(
            schemas.ChallengesBody(to_schemas(challenges.items, schemas.Challenge), pagination(challenges))
        )

    def show_oauth_window(
        self, member_guid: str, oauth_window_uri: str
    ) -> Annotated[bytes, schemas.OAuthWindowBody]:
        return encode(schemas.OAuthWindowBody(schemas.OAuthWindow(member_guid, oauth_window_uri)))

    def show_account(self, account: Account) -> Annotated[bytes, schemas.AccountBody]:
        return encode(schemas.AccountBody(_account(account)))

    def show_accounts(self, accounts: Page[Account]) -> Annotated[bytes, schemas.AccountsBody]:
        return encode(schemas.AccountsBody([_account(each) for each in accounts.items], pagination(accounts)))

    def show_account_numbers(
        self, numbers: Page[AccountNumbers]
    ) -> Annotated[bytes, schemas.AccountNumbersBody]:
        items = to_schemas(numbers.items, schemas.AccountNumber)
        return encode(schemas.AccountNumbersBody(items, pagination(numbers)))

    def show_account_owners(self, owners: Page[AccountOwner]) -> Annotated[bytes, schemas.AccountOwnersBody]:
        items = to_schemas(owners.items, schemas.AccountOwner)
        return encode(schemas.AccountOwnersBody(items, pagination(owners)))

    def show_transaction(self, transaction: Transaction) -> Annotated[bytes, schemas.TransactionBody]:
        return encode(schemas.TransactionBody(to_schema(transaction, schemas.Transaction)))

    def show_transactions(
        self,
        transactions: Page[Transaction],
        includes: Collection[Include] = (),
        merchants: Mapping[str, ListedMerchant] = NO_MERCHANTS,
    ) -> Annotated[bytes, schemas.TransactionsBody]:
        items = to_schemas(transactions.items, schemas.Transaction)
        if includes:
            items = [
                replace(shape, **extras(record, includes, merchants))
                for shape, record in zip(items, transactions.items, strict=True)
            ]
        return encode(schemas.TransactionsBody(items, pagination(transactions)))

    def show_statement(self, statement: Statement) -> Annotated[bytes, schemas.StatementBody]:
        return encode(schemas.StatementBody(_statement(statement)))

    def show_statements(self, statements: Page[Statement]) -> Annotated[bytes, schemas.StatementsBody]:
        return encode(
            schemas.StatementsBody([_statement(each) for each in statements.items], pagination(statements))
        )

    def show_micro_deposit(
        self, deposit: MicroDeposit, account: DepositAccount
    ) -> Annotated[bytes, schemas.MicroDepositBody]:
        return encode(schemas.MicroDepositBody([_micro_deposit(deposit, account)]))

    def show_micro_deposits(
        self, deposits: Page[MicroDeposit]
    ) -> Annotated[bytes, schemas.MicroDepositsBody]:
        items = to_schemas(deposits.items, schemas.MicroDepositState)
        return encode(schemas.MicroDepositsBody(items, pagination(deposits)))

    def show_account_verifications(
        self, deposits: Sequence[tuple[MicroDeposit, DepositAccount]]
    ) -> Annotated[bytes, schemas.MicroDepositBody]:
        return encode(schemas.MicroDepositBody([_micro_deposit(*each) for each in deposits]))

    def show_category(self, category: Category) -> Annotated[bytes, schemas.CategoryBody]:
        return encode(schemas.CategoryBody(_category(category)))

    def show_categories(self, categories: Page[Category]) -> Annotated[bytes, schemas.CategoriesBody]:
        return encode(
            schemas.CategoriesBody([_category(each) for each in categories.items], pagination(categories))
        )

    def show_merchant(self, merchant: ListedMerchant) -> Annotated[bytes, schemas.MerchantBody]:
        return encode(schemas.MerchantBody(_merchant(merchant)))

    def show_merchants(self, merchants: Page[ListedMerchant]) -> Annotated[bytes, schemas.MerchantsBody]:
        return encode(
            schemas.MerchantsBody([_merchant(each) for each in merchants.items], pagination(merchants))
        )

    def show_merchant_location(
        self, merchant: ListedMerchant
    ) -> Annotated[bytes, schemas.MerchantLocationBody]:
        location = to_schema(
            merchant.merchant,
            schemas.MerchantLocation,
            guid=merchant.location_guid,
            merchant_guid=merchant.guid,
        )
        return encode(schemas.MerchantLocationBody(location))

    def show_widget_url(
        self, *, widget_type: str, url: str, user_id: str | None
    ) -> Annotated[bytes, schemas.WidgetURLBody]:
        return encode(schemas.WidgetURLBody(schemas.WidgetURL(widget_type, url, user_id)))

    def show_connect_widget_url(
        self, *, url: str, user_guid: str
    ) -> Annotated[bytes, schemas.ConnectWidgetURLBody]:
        return encode(schemas.ConnectWidgetURLBody(schemas.ConnectWidgetURL(url, user_guid)))

    def show_authorization_code(self, code: str) -> Annotated[bytes, token_schemas.AuthorizationCodeBody]:
        return encode(token_schemas.AuthorizationCodeBody(token_schemas.AuthorizationCode(code)))

    def show_legacy_authorization_code(
        self, code: str
    ) -> Annotated[bytes, token_schemas.LegacyAuthorizationCodeBody]:
        return encode(token_schemas.LegacyAuthorizationCodeBody(token_schemas.LegacyAuthorizationCode(code)))

    def show_tokens(self, tokens: Sequence[TokenRow]) -> Annotated[bytes, token_schemas.TokensBody]:
        return encode(
            token_schemas.TokensBody(
                [
                    token_schemas.ListedToken(
                        each.processor_guid, each.expires_at, f"{each.first_characters}...", each.active
                    )
                    for each in tokens
                ]
            )
        )

    def show_grants(self, tokens: Sequence[TokenRow]) -> Annotated[bytes, token_schemas.GrantsBody]:
        return encode(
            token_schemas.GrantsBody(
                [
                    to_schema(
                        each,
                        token_schemas.Grant,
                        payment_processor_guid=each.processor_guid,
                        access_token=f"{each.first_characters}...",
                    )
                    for each in tokens
                ]
            )
        )

    def show_token(self, issued: IssuedToken) -> Annotated[bytes, token_schemas.Token]:
        return encode(token_schemas.Token(issued.access_token, issued.expires_at, issued.scope))

    def show_legacy_token(self, issued: IssuedToken) -> Annotated[bytes, token_schemas.LegacyToken]:
        return encode(token_schemas.LegacyToken(issued.access_token))

    def show_processor_numbers(
        self, numbers: Sequence[AccountNumbers], *, as_strings: bool
    ) -> Annotated[bytes, token_schemas.ProcessorNumbersBody]:
        items = [
            to_schema(
                each,
                token_schemas.ProcessorNumber,
                account_number=number_or_text(each.account_number, as_strings=as_strings),
                routing_number=number_or_text(each.routing_number, as_strings=as_strings),
            )
            for each in numbers
        ]
        return encode(token_schemas.ProcessorNumbersBody(items))

    def show_processor_owners(
        self, owners: Page[AccountOwner]
    ) -> Annotated[bytes, token_schemas.ProcessorOwnersBody]:
        items = to_schemas(owners.items, token_schemas.ProcessorOwner)
        return encode(token_schemas.ProcessorOwnersBody(items, pagination(owners)))

    def show_payment_account(
        self, account: Account, numbers: AccountNumbers | None
    ) -> Annotated[bytes, token_schemas.PaymentAccountBody]:
        shape = to_schema(
            account,
            token_schemas.PaymentAccount,
            account_guid=account.guid,
            account_name=account.name,
            account_number=numbers.account_number if numbers else account.account_number,
            account_type=account.type,
            routing_number=numbers and numbers.routing_number,
            transit_number=numbers and numbers.transit_number,
        )
        return encode(token_schemas.PaymentAccountBody(shape))
