"""The request bodies of the widget's API. A repr has no values: they can be credentials and account numbers."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from coatcheck.text import STORABLE

Guid: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=64)]
Secret: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=4096)]
Name: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=200)]
AccountNumber: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=40)]
RoutingNumber: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=20)]
Email: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=320)]
Amount: TypeAlias = Annotated[str, Meta(pattern=STORABLE, max_length=12)]


class Body(Struct, frozen=True):
    """A JSON object in a request."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class ConsentBody(Body, frozen=True):
    accepted: Literal[True]


class Value(Body, frozen=True):
    """One credential or challenge, with what the user entered or chose."""

    guid: Guid
    value: Secret


class MemberBody(Body, frozen=True):
    institution_guid: Guid
    credentials: Annotated[tuple[Value, ...], Meta(max_length=50)] = ()
    is_oauth: bool = False


class ValuesBody(Body, frozen=True):
    credentials: Annotated[tuple[Value, ...], Meta(min_length=1, max_length=50)]


class JobBody(Body, frozen=True):
    job_type: int | None = None


class SelectionBody(Body, frozen=True):
    account_guid: Guid


class SelectionsBody(Body, frozen=True):
    account_guids: Annotated[tuple[Guid, ...], Meta(min_length=1, max_length=1000)]


class AccountBody(Body, frozen=True):
    account_number: AccountNumber
    routing_number: RoutingNumber
    account_type: Literal[1, 2]
    account_name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    email: Email | None = None


class AmountsBody(Body, frozen=True):
    deposit_amount_1: Amount
    deposit_amount_2: Amount
