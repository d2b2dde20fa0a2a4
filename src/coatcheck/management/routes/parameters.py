"""Parameters that several endpoints share, and the parts of their paths."""

PATH_PARAMETERS = {
    "grant": "The guid of the grant, as in the audit log: `TKN-…`. It is not the access token.",
    "disclosure": "The guid of the authorization disclosure: `DSC-…`.",
    "attestation": "The guid of the deletion attestation: `ATT-…`.",
    "user": "The guid of the user, or the `id` that you gave it.",
}
