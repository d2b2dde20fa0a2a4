"""Endpoints for transactions and statements."""

from coatcheck.api.handlers import statements, transactions
from coatcheck.api.routes.parameters import (
    ACCOUNT,
    INCLUDES,
    MEMBER,
    MEMBER_ACCOUNT,
    TRANSACTION_FILTERS,
    USER,
)
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.statements import StatementResponseBody, StatementsResponseBody
from coatcheck.api.schemas.transactions import (
    TransactionResponseBody,
    TransactionsResponseBody,
    TransactionUpdateRequestBody,
)
from coatcheck.api.versions import Version
from coatcheck.http.route import PAGE, Group, Parameter

LIST_OF_ONE = "The answer is a list of one transaction, as in MX's API."

TRANSACTIONS = Group(
    "Transactions and statements",
    "Transactions and statements of accounts.",
    (
        Route(
            "GET",
            f"{USER}/transactions",
            transactions.list_,
            "listTransactions",
            "List the transactions of a user",
            query=TRANSACTION_FILTERS,
            answer=TransactionsResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER}/transactions",
            transactions.list_,
            "listTransactionsByMember",
            "List the transactions of a member",
            query=(
                *TRANSACTION_FILTERS,
                Parameter("from_timestamp", "The same as `from_created_at`."),
                Parameter("to_timestamp", "The same as `to_created_at`."),
            ),
            answer=TransactionsResponseBody,
        ),
        Route(
            "GET",
            f"{ACCOUNT}/transactions",
            transactions.list_,
            "listTransactionsByAccount",
            "List the transactions of an account",
            query=TRANSACTION_FILTERS,
            answer=TransactionsResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER_ACCOUNT}/transactions",
            transactions.list_,
            "listTransactionsByAccountPerMember",
            "List the transactions of a member's account",
            versions=(Version.V20250224,),
            query=TRANSACTION_FILTERS,
            answer=TransactionsResponseBody,
        ),
        Route(
            "GET",
            f"{USER}/transactions/{{transaction}}",
            transactions.read,
            "readTransaction",
            "Read a transaction",
            LIST_OF_ONE,
            query=(INCLUDES,),
            answer=TransactionsResponseBody,
        ),
        Route(
            "PUT",
            f"{USER}/transactions/{{transaction}}",
            transactions.update,
            "updateTransaction",
            "Update the description of a transaction",
            body=TransactionUpdateRequestBody,
            answer=TransactionResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER_ACCOUNT}/transactions/{{transaction}}",
            transactions.read,
            "readTransactionByAccount",
            "Read a transaction of a member's account",
            LIST_OF_ONE,
            versions=(Version.V20250224,),
            query=(INCLUDES,),
            answer=TransactionsResponseBody,
        ),
        Route(
            "PUT",
            f"{MEMBER_ACCOUNT}/transactions/{{transaction}}",
            transactions.update,
            "updateTransactionByAccount",
            "Update the description of a transaction of a member's account",
            body=TransactionUpdateRequestBody,
            answer=TransactionResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER}/statements",
            statements.list_,
            "listStatementsByMember",
            "List the statements of a member",
            query=PAGE,
            answer=StatementsResponseBody,
        ),
        Route(
            "GET",
            f"{MEMBER}/statements/{{statement}}.pdf",
            statements.download,
            "downloadStatementPDF",
            "Download a statement as PDF",
            media_types=(statements.VENDOR_PDF, statements.PDF),
        ),
        Route(
            "GET",
            f"{MEMBER}/statements/{{statement}}",
            statements.read,
            "readStatementByMember",
            "Read a statement",
            answer=StatementResponseBody,
        ),
    ),
)
