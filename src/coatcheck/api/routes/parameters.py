"""Parameters that several endpoints share, and the parts of their paths."""

from coatcheck.api.query import UseCase
from coatcheck.http import doc
from coatcheck.http.route import PAGE, Parameter

PATH_PARAMETERS = (
    Parameter("user", "The guid of the user, or the `id` that you gave it.", example=doc.USER),
    Parameter("member", "The guid of the member, or the `id` that you gave it.", example=doc.MEMBER),
    Parameter("job", "The guid of the job.", example=doc.JOB),
    Parameter("account", "The guid of the account, or its `id`.", example=doc.ACCOUNT),
    Parameter("institution", "The code or the guid of the institution.", example="mxbank"),
    Parameter("transaction", "The guid of the transaction.", example=doc.TRANSACTION),
    Parameter("statement", "The guid of the statement.", example=doc.STATEMENT),
    Parameter("micro_deposit", "The guid of the micro-deposit.", example=doc.MICRO_DEPOSIT),
    Parameter("category", "The guid of the category.", example=doc.CATEGORY),
    Parameter("merchant", "The guid of the merchant.", example=doc.MERCHANT),
    Parameter("merchant_location", "The guid of the merchant location.", example=doc.MERCHANT_LOCATION),
)

USER = "/users/{user}"
MEMBER = f"{USER}/members/{{member}}"
ACCOUNT = f"{USER}/accounts/{{account}}"
MEMBER_ACCOUNT = f"{MEMBER}/accounts/{{account}}"

USE_CASE = Parameter(
    "use_case", "Only members with this use case, or what is read from them.", choices=tuple(UseCase)
)
ISO_COUNTRY_CODE = Parameter("iso_country_code", "`US` or `CA`.", is_repeated=True)
INCLUDES = Parameter(
    "includes",
    "A comma-separated list of `repeating_transactions`, `merchants`, `classifications`, `geolocations`.",
)
TRANSACTION_FILTERS = (
    *PAGE,
    Parameter(
        "from_date",
        "The first day: a date, an ISO 8601 time, or seconds since 1970. The default is 120 days ago.",
    ),
    Parameter("to_date", "The last day, inclusive. The default is 5 days from now."),
    Parameter("from_created_at", "Only transactions created at this time or later."),
    Parameter("to_created_at", "Only transactions created at this time or earlier."),
    Parameter("from_updated_at", "Only transactions updated at this time or later."),
    Parameter("to_updated_at", "Only transactions updated at this time or earlier."),
    Parameter("category_guid", "Only these categories. `category_guid[]` means the same.", is_repeated=True),
    Parameter(
        "top_level_category_guid", "Only categories below these top-level categories.", is_repeated=True
    ),
    USE_CASE,
    INCLUDES,
)
TOKEN_FILTERS = (
    Parameter("user_guid", "Only tokens for this user."),
    Parameter("member_guid", "Only tokens for this member."),
    Parameter("account_guid", "Only tokens for this account."),
)

CALLBACK_PAYLOAD = Parameter(
    "X-CALLBACK-PAYLOAD",
    "At most 1,024 characters of base64. The webhooks that this request causes repeat it.",
)
SKIP_WEBHOOK = Parameter("MX-Skip-Webhook", "`true` sends no webhook about this change.")
