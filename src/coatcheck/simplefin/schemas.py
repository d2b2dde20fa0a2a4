"""The answers of the SimpleFIN server: the union of the protocol's versions 1 and 2.

Version 2 replaces `errors` by `errlist` and `org` by `connections`. Apps of either version find what they read.
"""

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType, field

from coatcheck.http.doc import ACCOUNT, MEMBER, TRANSACTION, doc

ROOT = "https://coatcheck.test/simplefin"
CODES = ("gen.", "gen.api", "gen.auth", "con.", "con.auth", "act.failed", "act.missingdata")
"""Those of the protocol that this server uses."""


class SimplefinInfo(Struct, frozen=True):
    versions: Annotated[list[str], doc("The versions of the protocol.", ["1.0", "2.0"])]


class SimplefinError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error. It concerns everything, one connection, or one account."""

    code: Annotated[
        str,
        doc(
            "For programs. `gen.` concerns everything, `con.` a connection, `act.` an account.",
            "con.auth",
            enum=list(CODES),
        ),
    ]
    msg: Annotated[str, doc("For people.", "Connection to MX Bank may need attention.")]
    message: Annotated[
        str, doc("The same as `msg`: apps read either.", "Connection to MX Bank may need attention.")
    ]
    conn_id: Annotated[str | UnsetType, doc("The connection.", MEMBER)] = UNSET
    account_id: Annotated[str | UnsetType, doc("The account.", ACCOUNT)] = UNSET


class SimplefinOrganization(Struct, frozen=True, kw_only=True):
    """The institution, in version 1."""

    domain: Annotated[str, doc("The domain of its website.", "mx.com")]
    name: Annotated[str, doc("Its name.", "MX Bank")]
    sfin_url: Annotated[str, doc("The root of this server.", ROOT)] = field(name="sfin-url")
    url: Annotated[str, doc("Its website.", "https://www.mx.com")]
    id: Annotated[str, doc("Its code.", "mxbank")]


class SimplefinConnection(Struct, frozen=True, kw_only=True):
    """A connection of the user to an institution, in version 2."""

    conn_id: Annotated[str, doc("The guid of the member.", MEMBER)]
    name: Annotated[str, doc("The name of the institution.", "MX Bank")]
    org_id: Annotated[str, doc("The code of the institution.", "mxbank")]
    org_url: Annotated[str, doc("The website of the institution.", "https://www.mx.com")]
    sfin_url: Annotated[str, doc("The root of this server.", ROOT)]


class SimplefinTransaction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: Annotated[str, doc("The guid of the transaction. It stays when the transaction posts.", TRANSACTION)]
    posted: Annotated[int, doc("Noon UTC of the day of the transaction; 0 while it is pending.", 1795694400)]
    amount: Annotated[str, doc("A decimal; negative if money leaves the account.", "-12.34")]
    description: Annotated[str, doc("As the institution describes it.", "CORNER SHOP 0042")]
    payee: Annotated[str, doc("The description for people.", "Corner shop")]
    memo: Annotated[str, doc("The memo, or empty.", "")]
    transacted_at: Annotated[int, doc("Noon UTC of the day on which it was made.", 1795694400)]
    pending: Annotated[bool, doc("True while it is pending; absent afterwards.", True)] = False
    mcc: Annotated[str | UnsetType, doc("The merchant category code (ISO 18245).", "5411")] = UNSET


class SimplefinAccount(Struct, frozen=True, kw_only=True):
    org: Annotated[SimplefinOrganization, doc("The institution, for apps of version 1.")]
    conn_id: Annotated[str, doc("The connection, for apps of version 2.", MEMBER)]
    id: Annotated[str, doc("The guid of the account.", ACCOUNT)]
    name: Annotated[str, doc("The name of the account.", "Everyday Checking")]
    currency: Annotated[str, doc("ISO 4217.", "USD")]
    balance: Annotated[
        str, doc("With exactly two decimals; negative if it is owed, as on a card or a loan.", "1000.00")
    ]
    available_balance: Annotated[
        str, doc("What can be spent; the balance if the institution does not say.", "950.25")
    ] = field(name="available-balance")
    balance_date: Annotated[int, doc("When the balance was read, in seconds since 1970.", 1795698000)] = (
        field(name="balance-date")
    )
    transactions: Annotated[
        list[SimplefinTransaction], doc("Newest first; empty with `balances-only` or without permission.")
    ]


class AccountSet(Struct, frozen=True, kw_only=True):
    errors: Annotated[list[str], doc("The texts of `errlist`, for apps of version 1.", [])]
    errlist: Annotated[list[SimplefinError], doc("What could not be read, and why.", [])]
    connections: Annotated[list[SimplefinConnection], doc("The connections of the accounts.")]
    accounts: Annotated[list[SimplefinAccount], doc("The accounts that were read.")]
