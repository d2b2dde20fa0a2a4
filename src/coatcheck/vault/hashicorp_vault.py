"""Master keys that the Transit engine of HashiCorp Vault wraps.

The address and the token come from `VAULT_ADDR` and `VAULT_TOKEN`, or from the token file of the vault command.
"""

import base64

import hvac
import requests
from hvac.exceptions import VaultError

from coatcheck.config import Settings
from coatcheck.errors import ConfigurationError

TIMEOUT = 10
"""Seconds of each call."""


def wrap(settings: Settings, key_id: str, key: bytes) -> str:
    """The key as Vault encrypted it (`vault:v1:...`), bound to `key_id` (Transit: associated data).

    Raises:
        ConfigurationError: Vault does not encrypt with `hashicorp_vault_key`.
    """
    return _call(
        settings, "encrypt_data", "ciphertext", plaintext=base64.b64encode(key).decode(), **_bound_to(key_id)
    )


def unwrap(settings: Settings, key_id: str, wrapped: str) -> bytes:
    """The key that `wrap` wrapped.

    Raises:
        ConfigurationError: Vault does not decrypt it, for example because the token has expired.
    """
    return base64.b64decode(
        _call(settings, "decrypt_data", "plaintext", ciphertext=wrapped, **_bound_to(key_id))
    )


def _bound_to(key_id: str) -> dict[str, str]:
    # Vault authenticates it with the ciphertext: a wrapped key that is copied to the line of another id does not open.
    return {"associated_data": base64.b64encode(f"coatcheck-master-key {key_id}".encode()).decode()}


def _call(settings: Settings, operation: str, result: str, **parameters: str) -> str:
    mount, _, name = settings.hashicorp_vault_key.rpartition("/")
    try:
        # It reads the address and the token from the environment, as the vault command does.
        transit = hvac.Client(timeout=TIMEOUT).secrets.transit
        answer = getattr(transit, operation)(name=name, mount_point=mount, **parameters)
    except (VaultError, requests.RequestException) as error:
        # The message of the error may quote the request.
        verb = operation.partition("_")[0]
        raise ConfigurationError(
            f"HashiCorp Vault does not {verb} the master key: {type(error).__name__}. "
            "Check VAULT_ADDR, the token, its policy and hashicorp_vault_key."
        ) from None
    text: str = answer["data"][result]
    return text
