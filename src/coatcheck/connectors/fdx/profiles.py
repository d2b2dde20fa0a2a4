"""Provider profiles: a TOML file for each institution says what the FDX standard leaves open."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from coatcheck.connectors.contract import Institution, JobKind
from coatcheck.errors import ConfigurationError

# A namespace of UUIDv5: a change would change the guids of all institutions.
_INSTITUTIONS = uuid.UUID("5b0f2f6e-7a1d-5f0b-9c6e-3d1c9b7e2a40")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts that may be reached without TLS, for a bank on the same machine."""

ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "pushed_authorization_request_endpoint",
    "revocation_endpoint",
)
"""Those of an authorization server that a profile can name."""

Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s?#]+[^\s?#/]$")]
ClientAuthentication = Literal["client_secret_basic", "private_key_jwt", "tls_client_auth"]


class Consent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The consent that is asked for by an authorization detail of the type `FDX_CONSENT` (RFC 9396)."""

    data_clusters: tuple[str, ...]
    duration_days: int = 365
    lookback_days: int | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one institution."""

    institution_code: str
    name: str
    url: str
    """Of the institution's web site."""
    guid: str | None = None
    """None: it follows from the code."""
    iso_country_code: str = "US"
    routing_numbers: tuple[str, ...] = ()
    supports: tuple[JobKind, ...] = tuple(JobKind)
    popularity: int = 0

    api_url: Url
    """The base path of the FDX API, such as `https://api.bank.example/fdx/v6`."""
    issuer: Url | None = None
    """The authorization server, whose metadata name its endpoints (RFC 8414, OpenID Connect Discovery)."""
    authorization_endpoint: Url | None = None
    """This and the next three replace what the metadata say, or stand in for them."""
    token_endpoint: Url | None = None
    pushed_authorization_request_endpoint: Url | None = None
    revocation_endpoint: Url | None = None

    client_id: str
    client_authentication: ClientAuthentication = "client_secret_basic"
    client_secret_file: str | None = None
    private_key_file: str | None = None
    """The key of `private_key_jwt`, P-256 or RSA: a JWK (RFC 7517) or PEM."""
    key_id: str | None = None
    """The `kid` under which the institution knows the key. None: that of the JWK."""
    certificate_file: str | None = None
    """The client certificate, for `tls_client_auth` or for an API that requires one beside another authentication."""
    certificate_key_file: str | None = None

    bearer: Literal["access_token", "id_token"] = "access_token"
    """Which token the API takes."""
    scopes: tuple[str, ...] = ()
    consent: Consent | None = None
    authorization_parameters: Mapping[str, str] = {}
    """Further parameters of the authorization request, such as `resource` (RFC 8707) or `prompt`."""
    reads_consent: bool = True
    """Whether each run reads the consent, if the institution names it."""
    concurrent_reads: Annotated[int, msgspec.Meta(ge=1, le=50)] = 4
    page_size: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100

    def institution(self) -> Institution:
        return Institution(
            code=self.institution_code,
            guid=self.guid or f"INS-{uuid.uuid5(_INSTITUTIONS, self.institution_code)}",
            name=self.name,
            url=self.url,
            iso_country_code=self.iso_country_code,
            routing_numbers=self.routing_numbers,
            supports=frozenset(self.supports),
            supports_oauth=True,
            popularity=self.popularity,
        )


def load_profile(file: str) -> Profile:
    """The profile in a file. Paths in it are relative to the file.

    Raises:
        ConfigurationError: it cannot be read, or a field is unknown, missing or wrong.
    """
    try:
        profile = msgspec.toml.decode(Path(file).read_bytes(), type=Profile)
    except OSError as error:
        raise ConfigurationError(f"The FDX profile {file} cannot be read: {type(error).__name__}.") from None
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"The FDX profile {file} is wrong: {error}.") from None
    _check(profile, file)
    names = ("client_secret_file", "private_key_file", "certificate_file", "certificate_key_file")
    paths = {name: str(Path(file).parent / path) for name in names if (path := getattr(profile, name))}
    return msgspec.structs.replace(profile, **paths)


def read_secret(file: str) -> str:
    """The text of a file that a profile names.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{file}, which an FDX profile names, cannot be read: {type(error).__name__}."
        ) from None


def _check(profile: Profile, file: str) -> None:
    if profile.issuer is None and not (profile.authorization_endpoint and profile.token_endpoint):
        raise ConfigurationError(
            f"The FDX profile {file} needs issuer, or authorization_endpoint and token_endpoint."
        )
    needed = {
        "client_secret_basic": ("client_secret_file",),
        "private_key_jwt": ("private_key_file",),
        "tls_client_auth": ("certificate_file", "certificate_key_file"),
    }[profile.client_authentication]
    for name in needed:
        if getattr(profile, name) is None:
            raise ConfigurationError(
                f"The FDX profile {file} needs {name}, because of {profile.client_authentication}."
            )
    for name in ("api_url", "issuer", *ENDPOINTS):
        address = urlsplit(getattr(profile, name) or "https:")
        if address.scheme != "https" and address.hostname not in LOOPBACK:
            raise ConfigurationError(f"{name} of the FDX profile {file} must be an https address.")
