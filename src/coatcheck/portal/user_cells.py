"""The cell of an end user who signs in: an identity provider names the `id` of a user, which has no digit."""

from collections.abc import Mapping

from coatcheck.app import Services
from coatcheck.cell_digit import digit_of_guid
from coatcheck.cells.cell import Cell, Directions
from coatcheck.errors import UnknownUser
from coatcheck.grants.portal_sessions import claimed_user


class UserCells:
    """The services of all cells, by their digits."""

    def __init__(self, of_cells: Mapping[str, Services]) -> None:
        self._of_cells = of_cells
        self._directions = Directions({digit: Cell(digit, each.db) for digit, each in of_cells.items()})

    async def find(self, client_guid: str, claim: str | None) -> tuple[str, Services]:
        """The digit and the services of the cell in which the claimed user is.

        Raises:
            UnknownUser: no cell has the user, or two users in different cells have this `id`.
            Unavailable: a cell does not answer. It could have another user with this `id`.
        """
        if len(self._of_cells) == 1:
            (only,) = self._of_cells.items()
            return only
        # A user that is moving has rows in two cells.
        guids = set()
        for services in self._of_cells.values():
            async with services.db.connection() as connection:
                if (user := await claimed_user(connection, client_guid, claim)) is not None:
                    guids.add(user.guid)
        if not guids:
            raise UnknownUser(detail="no user has this id")
        # An `id` is unique within a cell only. Whichever was chosen, it could be the data of another person.
        if len(guids) > 1:
            raise UnknownUser(detail="users in different cells have this id")
        (guid,) = guids
        digit = (await self._directions.find(digit_of_guid(guid), guid)).digit
        return digit, self._of_cells[digit]
