"""Parameters that several endpoints share, and the parts of their paths."""

from coatcheck.http import doc
from coatcheck.http.route import Parameter

PATH_PARAMETERS = (
    Parameter(
        "grant",
        "The guid of the grant, as in the audit log: `TKN-…`. It is not the access token.",
        example=doc.GRANT,
    ),
    Parameter("disclosure", "The guid of the authorization disclosure: `DSC-…`.", example=doc.DISCLOSURE),
    Parameter("attestation", "The guid of the deletion attestation: `ATT-…`.", example=doc.ATTESTATION),
    Parameter("webhook_endpoint", "The guid of the webhook endpoint: `WHE-…`.", example=doc.WEBHOOK_ENDPOINT),
    Parameter("event", "The guid of the event: `EVT-…`.", example=doc.EVENT),
    Parameter("delivery", "The guid of the delivery: `DLV-…`.", example=doc.DELIVERY),
    Parameter("member", "The guid of the member: `MBR-…`.", example=doc.MEMBER),
    Parameter("statement_import", "The guid of the import: `IMP-…`.", example=doc.IMPORT),
    Parameter("user", "The guid of the user, or the `id` that you gave it.", example=doc.USER),
)
