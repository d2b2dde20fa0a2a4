"""What browsers and authenticators are asked and answer (WebAuthn Level 3). No database.

Loaded when a person first signs in: the library takes 6 MB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import webauthn
from webauthn.helpers import exceptions, parse_authentication_credential_json, structs

from coatcheck.config import Settings
from coatcheck.errors import SignInFailed
from coatcheck.staff.addresses import origin, relying_party
from coatcheck.staff.people import StaffMember

NAME = "Coatcheck"
MAX_RESPONSE_CHARACTERS = 32 * 1024
UNREADABLE = (exceptions.WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What the library raises for text that anyone can send."""
REQUIRED = structs.UserVerificationRequirement.REQUIRED


@dataclass(frozen=True, slots=True)
class Registration:
    credential_id: bytes
    public_key: bytes = field(repr=False)
    sign_count: int


def creation_options(settings: Settings, staff: StaffMember, challenge: bytes, known: Sequence[bytes]) -> str:
    """The JSON of `PublicKeyCredentialCreationOptions`. Authenticators that have one of `known` are left out."""
    options = webauthn.generate_registration_options(
        rp_id=relying_party(settings),
        rp_name=NAME,
        # Nothing personal: authenticators show it without verifying who asks (WebAuthn 14.6.1).
        user_id=staff.guid.encode(),
        user_name=staff.email,
        user_display_name=staff.name,
        challenge=challenge,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            # The passkey itself says who signs in, and the device checks a finger, a face or a PIN.
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=REQUIRED,
        ),
        exclude_credentials=_descriptors(known),
    )
    return webauthn.options_to_json(options)


def request_options(settings: Settings, challenge: bytes, allowed: Sequence[bytes]) -> str:
    """The JSON of `PublicKeyCredentialRequestOptions`. Without `allowed`, any passkey of this site."""
    options = webauthn.generate_authentication_options(
        rp_id=relying_party(settings),
        challenge=challenge,
        allow_credentials=_descriptors(allowed),
        user_verification=REQUIRED,
    )
    return webauthn.options_to_json(options)


def verify_registration(settings: Settings, challenge: bytes, response: str) -> Registration:
    """The new passkey in the JSON of a `RegistrationResponseJSON`.

    Raises:
        SignInFailed: the response is not one to this challenge, or not of this site.
    """
    try:
        verified = webauthn.verify_registration_response(
            credential=_limited(response),
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings),
            expected_origin=origin(settings),
            require_user_verification=True,
        )
    except UNREADABLE as error:
        raise SignInFailed(detail=type(error).__name__) from None
    return Registration(verified.credential_id, verified.credential_public_key, verified.sign_count)


def credential_id_of(response: str) -> bytes:
    """Which passkey the JSON of an `AuthenticationResponseJSON` names. Nothing is verified.

    Raises:
        SignInFailed: the text is none.
    """
    try:
        return parse_authentication_credential_json(_limited(response)).raw_id
    except UNREADABLE as error:
        raise SignInFailed(detail=type(error).__name__) from None


def verify_authentication(settings: Settings, challenge: bytes, response: str, public_key: bytes) -> int:
    """The counter of the authenticator whose passkey signed the challenge. The caller compares it.

    Raises:
        SignInFailed: the response is not one to this challenge, not of this site, or not of this passkey.
    """
    try:
        verified = webauthn.verify_authentication_response(
            # `credential_id_of` has checked the length.
            credential=response,
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings),
            expected_origin=origin(settings),
            credential_public_key=public_key,
            # With the stored counter, the library would raise the same error as for a wrong signature.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except UNREADABLE as error:
        raise SignInFailed(detail=type(error).__name__) from None
    return verified.new_sign_count


def _descriptors(ids: Sequence[bytes]) -> list[structs.PublicKeyCredentialDescriptor]:
    return [structs.PublicKeyCredentialDescriptor(each) for each in ids]


def _limited(response: str) -> str:
    """Raises SignInFailed if the text is too long to be parsed."""
    if len(response) > MAX_RESPONSE_CHARACTERS:
        raise SignInFailed(detail="response too long")
    return response
