"""Connections and tokens of a sandbox in one call."""

from dataclasses import fields
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, field

from coatcheck import text
from coatcheck.emulator.connections import Connected, Granted, NewConnection, NewToken
from coatcheck.http.decoding import StrictSchema
from coatcheck.http.doc import (
    ACCESS_TOKEN,
    ACCOUNT,
    GRANT,
    OTHER_ACCOUNT,
    PROCESSOR,
    AccountGuid,
    MemberGuid,
    UserGuid,
    doc,
)
from coatcheck.http.encoding import Timestamp

Guid: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=64)]
Control: TypeAlias = Annotated[str, Meta(pattern=text.STORABLE, min_length=1, max_length=50)]


class ConnectionRequest(StrictSchema, frozen=True, kw_only=True):
    """May be empty."""

    user_guid: (
        Annotated[
            str,
            Meta(pattern=text.STORABLE, max_length=64, description="An existing user. Absent: a new one."),
        ]
        | None
    ) = None
    institution_code: Annotated[
        str, Meta(pattern=text.STORABLE, max_length=64, description="An institution of the sandbox bank.")
    ] = "mxbank"
    persona: (
        Annotated[
            str,
            Meta(pattern=text.STORABLE, max_length=50, description="The household.", examples=["salaried"]),
        ]
        | None
    ) = None
    controls: Annotated[
        tuple[Control, ...], Meta(max_length=20, description="What the bank does.", examples=[["nsf"]])
    ] = ()
    verify: Annotated[bool, Meta(description="Whether the account numbers are read.")] = True
    identify: Annotated[bool, Meta(description="Whether the owners are read.")] = True

    @property
    def new_connection(self) -> NewConnection:
        return NewConnection(**{each.name: getattr(self, each.name) for each in fields(NewConnection)})


class ConnectionRequestBody(StrictSchema, frozen=True, kw_only=True):
    """May be absent."""

    connection: Annotated[
        ConnectionRequest, doc("What to connect.", {"institution_code": "mxbank", "persona": "salaried"})
    ] = field(default_factory=ConnectionRequest)


class SandboxTokenRequest(ConnectionRequest, frozen=True, kw_only=True):
    """The fields of a connection are for the new one that is made if `account_guid` is absent. With it they are 400."""

    processor_guid: Annotated[Guid, Meta(description="A processor that is enabled for you.")]
    account_guid: (
        Annotated[
            str,
            Meta(
                pattern=text.STORABLE,
                max_length=64,
                description="An existing account. Absent: the first one with numbers of a new connection.",
            ),
        ]
        | None
    ) = None
    scope: (
        Annotated[
            str,
            Meta(
                pattern=text.STORABLE,
                max_length=512,
                description="The atoms after the guids. Absent: `read-protected`.",
                examples=["read-protected max-reads:3"],
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [each.name for each in fields(NewConnection) if getattr(self, each.name) != each.default]
        if self.account_guid is not None and given:
            raise ValueError(f"it must not contain account_guid and {', '.join(given)}")

    @property
    def new_token(self) -> NewToken:
        return NewToken(self.processor_guid, self.account_guid, self.scope, self.new_connection)


class SandboxTokenRequestBody(StrictSchema, frozen=True, kw_only=True):
    token: Annotated[
        SandboxTokenRequest,
        doc("What the token is for.", {"processor_guid": PROCESSOR, "scope": "read-protected"}),
    ]


class ConnectionResponse(Struct, frozen=True):
    user_guid: UserGuid
    member_guid: MemberGuid
    account_guids: Annotated[list[str], doc("The accounts of the member.", [ACCOUNT, OTHER_ACCOUNT])]


class ConnectionResponseBody(Struct, frozen=True):
    connection: Annotated[ConnectionResponse, doc("What was connected.")]


class SandboxTokenResponse(Struct, frozen=True):
    access_token: Annotated[str, doc("The token.", ACCESS_TOKEN)]
    grant_guid: Annotated[str, doc("The guid of its grant.", GRANT)]
    user_guid: UserGuid
    member_guid: MemberGuid
    account_guid: AccountGuid
    expires_at: Annotated[Timestamp, doc("When it expires.", "2027-01-25T09:35:00Z")]


class SandboxTokenResponseBody(Struct, frozen=True):
    token: Annotated[SandboxTokenResponse, doc("The token.")]


class ResetRequest(StrictSchema, frozen=True, kw_only=True):
    """Empty: the whole world."""

    user_guid: (
        Annotated[
            str,
            Meta(
                pattern=text.STORABLE,
                max_length=64,
                description="The user to reset. Absent: the whole world.",
            ),
        ]
        | None
    ) = None


class ResetRequestBody(StrictSchema, frozen=True, kw_only=True):
    """May be absent."""

    reset: Annotated[ResetRequest, doc("What to reset.", {})] = field(default_factory=ResetRequest)


def connection_body(connected: Connected) -> ConnectionResponseBody:
    return ConnectionResponseBody(
        ConnectionResponse(connected.user_guid, connected.member_guid, list(connected.account_guids))
    )


def sandbox_token_body(granted: Granted) -> SandboxTokenResponseBody:
    account = granted.account
    return SandboxTokenResponseBody(
        SandboxTokenResponse(
            access_token=granted.access_token,
            grant_guid=granted.grant_guid,
            user_guid=account.user_guid,
            member_guid=account.member_guid,
            account_guid=account.guid,
            expires_at=granted.expires_at,
        )
    )
