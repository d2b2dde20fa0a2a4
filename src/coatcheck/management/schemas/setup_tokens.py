"""SimpleFIN setup tokens: with one, an app gets access to accounts of a user."""

from dataclasses import fields
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck import text
from coatcheck.directory.apps import NewSetupToken, SetupToken
from coatcheck.grants.restrictions import ExpiresIn
from coatcheck.grants.setup_tokens import MAX_ACCOUNTS
from coatcheck.http.decoding import StrictSchema
from coatcheck.http.doc import ACCOUNT, OTHER_ACCOUNT, doc
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.management.schemas.grants import GuidInBody, LookbackLimit, MaxReadsLimit

APP_NAME_CHARACTERS = 100
TOKEN = "aHR0cHM6Ly9jb2F0Y2hlY2sudGVzdC9zaW1wbGVmaW4vY2xhaW0vY2NzXzBHei4uLg=="  # noqa: S105 (an example)


class SetupTokenRequest(StrictSchema, frozen=True, kw_only=True):
    account_guids: Annotated[
        tuple[GuidInBody, ...],
        Meta(
            min_length=1,
            max_length=MAX_ACCOUNTS,
            description="Accounts of the user. They need not be verified: an app reads no numbers.",
            examples=[[ACCOUNT, OTHER_ACCOUNT]],
        ),
    ]
    app_name: Annotated[
        str,
        Meta(
            pattern=text.STORABLE,
            min_length=1,
            max_length=APP_NAME_CHARACTERS,
            description="The name of the app, as it is listed in the grants. No personal data.",
            examples=["Actual"],
        ),
    ]
    expires_in: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=ExpiresIn.most,
                description="Seconds from the claim until the access ends. Absent, or longer: the setting "
                "`app_token_ttl`.",
            ),
        ]
        | None
    ) = None
    lookback_days: Annotated[LookbackLimit | None, doc("No older transaction is returned.")] = None
    max_reads: Annotated[MaxReadsLimit | None, doc("How often each account can be read.")] = None

    @property
    def new_setup_token(self) -> NewSetupToken:
        return NewSetupToken(**{each.name: getattr(self, each.name) for each in fields(NewSetupToken)})


class SetupTokenRequestBody(StrictSchema, frozen=True, kw_only=True):
    setup_token: Annotated[SetupTokenRequest, doc("What the app is to read.")]


class SetupTokenResponse(Struct, frozen=True, kw_only=True):
    guid: Annotated[
        str,
        Meta(description="Its guid, as in the audit log.", pattern=text.STORABLE, examples=["SUT-0197..."]),
    ]
    token: Annotated[
        str, doc("The claim URL in base64, which the user pastes into the app. It is shown this once.", TOKEN)
    ]
    expires_at: Annotated[Timestamp, doc("Until when it can be claimed.", "2026-11-27T09:30:00Z")]
    app_name: Annotated[str, doc("The name of the app.", "Actual")]
    account_guids: Annotated[list[str], doc("The accounts.", [ACCOUNT, OTHER_ACCOUNT])]


class SetupTokenResponseBody(Struct, frozen=True):
    setup_token: Annotated[SetupTokenResponse, doc("The setup token.")]


def setup_token_body(created: SetupToken) -> SetupTokenResponseBody:
    return SetupTokenResponseBody(to_schema(created, SetupTokenResponse))
