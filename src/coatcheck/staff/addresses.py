"""Where the dashboard is: the origin that browsers show, and the id of the relying party of passkeys."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from coatcheck.config import Settings, is_local

HOME = "/dashboard"
INVITATION_PATH = f"{HOME}/invitation/"
OIDC_RETURN_PATH = f"{HOME}/sign-in/return"


def origin(settings: Settings) -> str:
    """The origin of the dashboard: that of `base_url`, but `localhost` for a loopback address.

    A passkey belongs to a domain, and an address is none (WebAuthn 5.4.2: `rp.id`).
    """
    url = urlsplit(settings.base_url)
    if not is_local(url.hostname or ""):
        return settings.base_url
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://localhost{port}"


def relying_party(settings: Settings) -> str:
    """The domain to which passkeys are bound."""
    return urlsplit(origin(settings)).hostname or ""


def has_passkeys(settings: Settings) -> bool:
    """Whether browsers let the dashboard's pages use passkeys: they need a domain."""
    try:
        ip_address(relying_party(settings))
    except ValueError:
        return True
    return False


def is_secure(settings: Settings) -> bool:
    return settings.base_url.startswith("https://")
