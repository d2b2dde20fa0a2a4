"""Descriptions and examples of fields, as the OpenAPI document shows them.

They stand beside the field's type:

    email: Annotated[str | None, doc("The user's e-mail address.", "ann@example.com")]

The document composes the example of a request or an answer from those of its fields. A request contains the fields
that are required or have an example, an answer contains all.
"""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta

from coatcheck.http.encoding import Timestamp

USER = "USR-0197c4a2-6f5e-7c3a-9a53-0c1f5b0e7d11"
MEMBER = "MBR-0197c4a3-0d1c-7e58-8b1f-5a4e6c2d9f02"
ACCOUNT = "ACT-0197c4a3-1b7a-7d24-b6c5-93e0f8a71c44"
OTHER_ACCOUNT = "ACT-0197c4a3-1b7b-7f30-a1d2-4c5b6e7f8091"
JOB = "JOB-0197c4a3-0d20-7a11-9c3e-2f4a6b8c0d1e"
PROCESSOR = "PPR-0197c49e-52b0-7b9d-8e41-7c2a1f3d5e60"
GRANT = "TKN-0197c4a6-3e5f-7c08-9a2b-1d4f6e8a0c2b"
CODE = "cca_0Gz..."
ACCESS_TOKEN = "cct_2hQ..."  # noqa: S105 (an example)
TRANSACTION = "TRN-0197c4a3-2c11-7b3f-8d5e-6f7a8b9c0d1e"
STATEMENT = "STA-0197c4a4-7a20-7e1b-9f3c-5d6e7f8a9b0c"
MICRO_DEPOSIT = "MIC-0197c4a5-11c0-7d2e-8a4f-0b1c2d3e4f50"
CHALLENGE = "CRD-0197c4a3-0d30-7c5a-b7e8-9f0a1b2c3d4e"
LOGIN_FIELD = "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1"
PASSWORD_FIELD = "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d"  # noqa: S105 (the guid of a field)
CATEGORY = "CAT-5bf3901e-c20b-574a-b5a8-5652d40952e6"
MERCHANT = "MCH-7ed79542-884d-2b1b-dd74-501c5cc9d25b"
MERCHANT_LOCATION = "MCL-00024e59-18b5-4d79-b879-2a7896726fea"
DISCLOSURE = "DSC-0197c4a3-3f00-7a6b-8c9d-0e1f2a3b4c5d"
ATTESTATION = "ATT-0197c4b0-6a10-7f8e-9d0c-1b2a3c4d5e6f"
WEBHOOK_ENDPOINT = "WHE-0197c4b1-2c40-7d5e-9f60-718293a4b5c6"
EVENT = "EVT-0197c4b1-3d51-7e6f-8071-829304b5c6d7"
DELIVERY = "DLV-0197c4b1-4e62-7f70-9182-930415c6d7e8"
IMPORT = "IMP-0197c4b2-5f73-7081-92a3-b4c5d6e7f809"
SCOPE = f"user-guid:{USER} member-guid:{MEMBER} account-guid:{ACCOUNT} read-protected"
JWS_EXAMPLE = "eyJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiIuLi4ifQ.c2ln..."
"""The values that examples share."""


def doc(description: str, *examples: Any, **schema: Any) -> Meta:
    """The description of a field.

    Args:
        description: one or more sentences. Backticks mark code.
        examples: the first one is shown. None for a field without a typical value.
        schema: further keywords of its JSON schema, such as `maximum`, which the server does not check.
    """
    return Meta(description=description, examples=list(examples) or None, extra_json_schema=schema or None)


UserGuid: TypeAlias = Annotated[str, doc("The guid of the user.", USER)]
UserOwnId: TypeAlias = Annotated[str | None, doc("The `id` that the client gave the user.", "ann")]
MemberGuid: TypeAlias = Annotated[str, doc("The guid of the member.", MEMBER)]
AccountGuid: TypeAlias = Annotated[str, doc("The guid of the account.", ACCOUNT)]
CreatedAt: TypeAlias = Annotated[Timestamp, doc("When the object was created.", "2026-11-26T09:30:00Z")]
UpdatedAt: TypeAlias = Annotated[Timestamp, doc("When the object last changed.", "2026-11-26T09:31:12Z")]
