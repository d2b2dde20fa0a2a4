"""The services that can wrap a master key."""

from enum import StrEnum


class Service(StrEnum):
    """A key management service. Each needs an optional dependency: `pip install 'coatcheck[<value>]'`."""

    AWS_KMS = "aws-kms"
    HASHICORP_VAULT = "hashicorp-vault"
