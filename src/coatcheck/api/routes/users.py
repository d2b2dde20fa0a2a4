"""Endpoints for users."""

from coatcheck import errors
from coatcheck.api.handlers import users
from coatcheck.api.routes.parameters import SKIP_WEBHOOK, USER
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.users import UserRequestBody, UserResponseBody, UsersResponseBody
from coatcheck.http.route import PAGE, Group, Parameter

USERS = Group(
    "Users",
    "The end users of a client.",
    (
        Route(
            "POST",
            "/users",
            users.create,
            "createUser",
            "Create a user",
            body=UserRequestBody,
            headers=(SKIP_WEBHOOK,),
            answer=UserResponseBody,
            refusals=(errors.Conflict("A user with this id already exists."),),
        ),
        Route(
            "GET",
            "/users",
            users.list_,
            "listUsers",
            "List users",
            query=(
                *PAGE,
                Parameter("id", "Only the user with this `id`."),
                Parameter("email", "Only users with this e-mail address."),
                Parameter("is_disabled", "Only disabled users, or only enabled users.", "boolean"),
            ),
            answer=UsersResponseBody,
        ),
        Route("GET", USER, users.read, "readUser", "Read a user", answer=UserResponseBody),
        Route(
            "PUT",
            USER,
            users.update,
            "updateUser",
            "Update a user",
            "While a user is disabled, no token reads the user's data.",
            body=UserRequestBody,
            headers=(SKIP_WEBHOOK,),
            answer=UserResponseBody,
            refusals=(errors.Conflict("A user with this id already exists."),),
        ),
        Route(
            "DELETE",
            USER,
            users.delete,
            "deleteUser",
            "Delete a user",
            "Deletes all data of the user and revokes all tokens for it. Cannot be undone. The header "
            "`Coatcheck-Attestation` names a signed statement of what was destroyed: see "
            "`GET /coatcheck/attestations/{guid}`.",
            headers=(SKIP_WEBHOOK,),
            answer_headers=(Parameter("Coatcheck-Attestation", "The guid of the deletion attestation."),),
            status=204,
        ),
    ),
)
