"""The request that a handler of the OAuth endpoints gets: the form, and what the processor presents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.requests import Request

from coatcheck.errors import InvalidRequest
from coatcheck.grants.client_certificates import ClientCertificate
from coatcheck.grants.dpop import DPoPProof
from coatcheck.grants.processor_authentication import Presented
from coatcheck.http.bodies import FORM, is_form
from coatcheck.http.request import HandlerRequest

MAX_PARAMETERS = 100
PARAMETERS = frozenset(
    {
        "grant_type",
        "code",
        "code_verifier",
        "redirect_uri",
        "token",
        "token_type_hint",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "access_token",
    }
)
"""The parameters that the endpoints know. None of them is accepted in the URL, which proxies log."""


@dataclass(kw_only=True)
class OAuthRequest(HandlerRequest):
    form: Mapping[str, str] = field(repr=False)
    """The parameters of the body that are not empty (RFC 6749 3.2)."""
    presented_or_none: Presented | None = field(default=None, repr=False)
    proof: DPoPProof | None = None
    """The DPoP proof. Whether it was used before is not checked yet."""
    certificate: ClientCertificate | None = None
    endpoint: str = ""
    """The address of the endpoint."""

    @property
    def presented(self) -> Presented:
        assert self.presented_or_none is not None
        return self.presented_or_none

    def parameter(self, name: str) -> str:
        """A required parameter.

        Raises:
            InvalidRequest: it is missing or empty.
        """
        value = self.form.get(name)
        if value is None:
            raise InvalidRequest(f"The parameter {name} is missing. Send it in a form body.")
        return value


def read_form(request: Request, body: bytes) -> dict[str, str]:
    """The parameters of the body.

    Raises:
        InvalidRequest: the body is no form, a parameter is repeated (RFC 6749 3.2), or one is in the URL.
    """
    if body and not is_form(request.headers):
        raise InvalidRequest(f"Send the parameters in a body with the content type {FORM}.")
    try:
        # Undecodable values are no error here: of the query only the names matter.
        query = parse_qsl(
            request.scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=MAX_PARAMETERS,
        )
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        raise InvalidRequest("The parameters cannot be parsed.") from error
    # Refused even where the body has it too: the URL is in the log of a proxy by now, and its author must learn it.
    if in_url := {name for name, _ in query} & PARAMETERS:
        raise InvalidRequest(f"Send {min(in_url)} in the body, not in the URL.")
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise InvalidRequest(f"{name} is repeated." if name in PARAMETERS else "A parameter is repeated.")
        form[name] = value
    return {name: value for name, value in form.items() if value}
