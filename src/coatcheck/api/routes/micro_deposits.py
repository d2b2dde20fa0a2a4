"""Endpoints for micro-deposits."""

from coatcheck import errors
from coatcheck.api.handlers import micro_deposits
from coatcheck.api.routes.parameters import USER
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.micro_deposits import (
    MicrodepositRequestBody,
    MicrodepositResponseBody,
    MicrodepositsResponseBody,
    MicrodepositVerifyRequestBody,
)
from coatcheck.http import doc
from coatcheck.http.route import PAGE, Group, Parameter
from coatcheck.model.micro_deposits import DepositStatus

MICRO_DEPOSITS = Group(
    "Micro-deposits",
    "Verification of an account by two small deposits, for institutions that cannot be connected.",
    (
        Route(
            "GET",
            f"{USER}/micro_deposits",
            micro_deposits.list_,
            "listUserMicrodeposits",
            "List the micro-deposits of a user",
            query=(
                *PAGE,
                Parameter("status", "Only micro-deposits with this status.", choices=tuple(DepositStatus)),
            ),
            answer=MicrodepositsResponseBody,
        ),
        Route(
            "POST",
            f"{USER}/micro_deposits",
            micro_deposits.create,
            "createMicrodeposit",
            "Create a micro-deposit",
            "With only the name and e-mail address of the holder it is PREINITIATED, and the user completes "
            "it in the widget.",
            body=MicrodepositRequestBody,
            answer=MicrodepositResponseBody,
            refusals=(
                errors.DuplicateMicroDeposit(doc.MICRO_DEPOSIT),
                errors.ConstraintNotMet(),
                errors.JobNotSupported("No connector can send micro-deposits."),
            ),
        ),
        Route(
            "GET",
            f"{USER}/micro_deposits/{{micro_deposit}}",
            micro_deposits.read,
            "readUserMicrodeposit",
            "Read a micro-deposit",
            answer=MicrodepositResponseBody,
            in_transaction=True,
        ),
        Route(
            "DELETE",
            f"{USER}/micro_deposits/{{micro_deposit}}",
            micro_deposits.delete,
            "deleteMicrodeposit",
            "Delete a micro-deposit",
            status=204,
        ),
        Route(
            "PUT",
            "/micro_deposits/{micro_deposit}/verify",
            micro_deposits.verify,
            "verifyMicrodeposit",
            "Verify the two amounts",
            "After three wrong attempts the status is PREVENTED.",
            body=MicrodepositVerifyRequestBody,
            answer=MicrodepositResponseBody,
            refusals=(
                errors.UserDisabled(),
                errors.ConstraintNotMet("The micro-deposits are VERIFIED: no amounts are expected."),
            ),
        ),
        Route(
            "GET",
            f"{USER}/account_verifications",
            micro_deposits.verifications,
            "listUserVerifications",
            "List the account verifications of a user",
            answer=MicrodepositResponseBody,
        ),
    ),
)
