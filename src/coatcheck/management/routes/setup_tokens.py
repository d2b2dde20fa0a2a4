"""Endpoints for SimpleFIN setup tokens."""

from coatcheck import errors
from coatcheck.http.route import Group
from coatcheck.management.handlers import setup_tokens
from coatcheck.management.routes.route import Route
from coatcheck.management.schemas.setup_tokens import SetupTokenRequestBody, SetupTokenResponseBody

SETUP_TOKENS = Group(
    "Setup tokens",
    "Apps that read SimpleFIN, such as Actual Budget and Home Assistant, get access with a setup token.",
    (
        Route(
            "POST",
            "/coatcheck/users/{user}/setup_tokens",
            setup_tokens.create_setup_token,
            "createSetupToken",
            "Create a SimpleFIN setup token",
            "For accounts of one user. The app claims it once, within 24 hours, and then reads balances and "
            "transactions, never numbers or owners. After the claim there is one grant for each account in "
            "`GET /coatcheck/grants`, with one `simplefin_access_guid` in common.",
            body=SetupTokenRequestBody,
            answer=SetupTokenResponseBody,
            status=201,
            refusals=(
                errors.UserDisabled(),
                errors.Unprocessable("The app is disabled."),
                errors.NotSelected(),
            ),
        ),
    ),
)
