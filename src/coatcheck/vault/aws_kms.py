"""Master keys that AWS KMS wraps. Region and credentials come from the environment, as for every AWS SDK."""

import base64
import binascii

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from coatcheck.config import Settings
from coatcheck.errors import ConfigurationError

TIMEOUTS = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 3, "mode": "standard"})
"""Seconds, and attempts of each call."""


def wrap(settings: Settings, key_id: str, key: bytes) -> str:
    """The key as KMS encrypted it, in base64 and bound to `key_id` (KMS: encryption context).

    Raises:
        ConfigurationError: `aws_kms_key` is not set, or KMS does not encrypt with it.
    """
    if not settings.aws_kms_key:
        raise ConfigurationError("Set aws_kms_key to the ARN, id or alias of the key in AWS KMS.")
    answer = _call("encrypt", KeyId=settings.aws_kms_key, Plaintext=key, EncryptionContext=_context(key_id))
    return base64.b64encode(answer["CiphertextBlob"]).decode()


def unwrap(settings: Settings, key_id: str, wrapped: str) -> bytes:
    """The key that `wrap` wrapped.

    Raises:
        ConfigurationError: KMS does not decrypt it, for example because the key is disabled or not permitted.
    """
    try:
        blob = base64.b64decode(wrapped, validate=True)
    except binascii.Error:
        raise ConfigurationError(f"Master key {key_id} is not base64.") from None
    # Without KeyId, KMS decrypts with whatever key the blob names, also with one of another account.
    key = {"KeyId": settings.aws_kms_key} if settings.aws_kms_key else {}
    plaintext: bytes = _call("decrypt", CiphertextBlob=blob, EncryptionContext=_context(key_id), **key)[
        "Plaintext"
    ]
    return plaintext


# KMS authenticates it: a wrapped key that was copied to the line of another id is not decrypted.
def _context(key_id: str) -> dict[str, str]:
    return {"coatcheck-master-key": key_id}


def _call(operation: str, **parameters: object) -> dict[str, bytes]:
    try:
        # A client for each call: keys are unwrapped once, when the process starts.
        answer: dict[str, bytes] = getattr(boto3.client("kms", config=TIMEOUTS), operation)(**parameters)
    except ClientError as error:
        # The code names the reason, such as AccessDeniedException. The message may quote the request.
        reason = error.response["Error"]["Code"]
        raise ConfigurationError(f"AWS KMS does not {operation} the master key: {reason}.") from None
    except BotoCoreError as error:
        raise ConfigurationError(
            f"AWS KMS cannot be called: {type(error).__name__}. Check AWS_REGION, the credentials and the network."
        ) from None
    return answer
