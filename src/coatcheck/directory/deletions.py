"""The end of deletions that are too large for one transaction."""

from coatcheck.db.database import Database
from coatcheck.directory.attestations import Attestations
from coatcheck.members.deleted_accounts import delete_piece


class Deletions:
    def __init__(self, db: Database, attestations: Attestations) -> None:
        self._db = db
        self._attestations = attestations

    async def run(self) -> None:
        """Deletes all transactions of deleted accounts, and completes the attestations of deleted users."""
        while True:
            async with self._db.transaction() as connection:
                piece = await delete_piece(connection)
                if piece is None:
                    return
                if piece.is_last_of_user:
                    await self._attestations.complete(connection, piece.user_guid)
