"""Endpoints for statement files."""

from coatcheck import errors
from coatcheck.http.route import PAGE, Group, Parameter
from coatcheck.management.handlers import imports
from coatcheck.management.routes.route import Route, UploadRoute
from coatcheck.management.schemas.imports import (
    ImportResponseBody,
    ImportsResponseBody,
    StatementFileRequest,
)

IMPORT = "/coatcheck/imports/{statement_import}"

IMPORTS = Group(
    "Statement files",
    "Files that a bank gave to its customer. Their data is what the user supplied: account numbers have "
    "`passed_validation` false until micro-deposits have verified the same numbers.",
    (
        UploadRoute(
            "POST",
            "/coatcheck/users/{user}/statement_files",
            imports.import_statement_file,
            "importStatementFile",
            "Import a statement file",
            "The format and the character set are found in the content. Files that overlap duplicate nothing. The "
            "accounts belong to one member of the user, whose `connection_status` is IMPORTED. A file that cannot be "
            "read is 422 with `line` or `element`, and nothing of it is imported. With `dry_run` the answer is 200.",
            body=StatementFileRequest,
            query=(Parameter("dry_run", "As the field of this name.", "boolean"),),
            answer=ImportResponseBody,
            status=201,
            other_statuses=(200,),
            refusals=(errors.UnreadableFile(), errors.UserDisabled(), errors.ConstraintNotMet()),
            has_deadline=False,
            needs_connection=False,
        ),
        Route(
            "GET",
            "/coatcheck/imports",
            imports.list_imports,
            "listImports",
            "List imports",
            "Newest first.",
            query=(Parameter("user_guid", "Only imports for this user."), *PAGE),
            answer=ImportsResponseBody,
        ),
        Route("GET", IMPORT, imports.read_import, "readImport", "Read an import", answer=ImportResponseBody),
        Route(
            "DELETE",
            IMPORT,
            imports.delete_import,
            "deleteImport",
            "Take an import back",
            "Deletes the transactions that no other import lists, and the accounts that have no other import; tokens "
            "on those end. The balance of each account that remains is that of its newest file.",
            status=204,
        ),
    ),
)
