"""The request that a handler of MX's API gets."""

from dataclasses import dataclass

from coatcheck.api.versions import Version
from coatcheck.errors import InvalidRequest, UserDisabled
from coatcheck.http.request import HandlerRequest
from coatcheck.members.oauth_windows import PreparedWindow
from coatcheck.model.users import User, find_user

MAX_CALLBACK_PAYLOAD_LENGTH = 1024
"""Characters of base64 (MX docs: X-CALLBACK-PAYLOAD)."""


@dataclass(kw_only=True)
class ApiRequest(HandlerRequest):
    """The arguments of a handler, with those of MX's API."""

    version: Version
    prepared_window: PreparedWindow | None = None
    """The sign-in page of the institution that the route's `signs_in_at` named."""

    @property
    def callback_payload(self) -> str | None:
        """The payload that the webhooks of this request repeat.

        Raises:
            InvalidRequest: it has more than 1,024 characters.
        """
        payload = self.headers.get("x-callback-payload")
        if payload is not None and len(payload) > MAX_CALLBACK_PAYLOAD_LENGTH:
            raise InvalidRequest("X-CALLBACK-PAYLOAD must have at most 1024 characters.")
        return payload

    @property
    def skips_webhook(self) -> bool:
        return self.headers.get("mx-skip-webhook", "").lower() in {"true", "1"}

    async def user(self, *, lock: bool = False) -> User:
        """The user in the path.

        Args:
            lock: locks the row until the transaction ends.

        Raises:
            NotFound: the client has no such user.
        """
        return await find_user(self.connection, self.client.guid, self.path["user"], lock=lock)

    async def readable_user(self, *, lock: bool = False) -> User:
        """The user in the path, unless it is disabled: its data cannot be read then (MX docs: users).

        Raises:
            NotFound: the client has no such user.
            UserDisabled: the client disabled the user.
        """
        user = await self.user(lock=lock)
        if user.is_disabled:
            raise UserDisabled
        return user
