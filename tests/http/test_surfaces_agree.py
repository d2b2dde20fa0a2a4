"""The API and the widget return the same state of a member."""

from coatcheck.app import Services
from coatcheck.model.mx_codes import CONNECTION_STATUS_IDS, NEEDS_CREDENTIALS
from coatcheck.model.statuses import ConnectionStatus
from tests.api_client import Api
from tests.widget_client import open_page


async def test_a_member_needs_new_credentials_on_every_surface_or_on_none(
    api: Api, services: Services, user: str
) -> None:
    page = await open_page(api, user)
    guid = (await page.connect())["guid"]
    for status in ConnectionStatus:
        async with services.db.connection() as connection:
            await connection.execute(
                "UPDATE member SET connection_status = %s WHERE user_guid = %s", (status, user)
            )
        in_api = (await api.get(f"/users/{user}/members/{guid}")).json()["member"]
        in_widget = await page.get(f"/members/{guid}")
        assert in_api["connection_status"] == status
        assert in_widget["connection_status"] == CONNECTION_STATUS_IDS[status]
        needs = [in_api["needs_updated_credentials"], in_widget["needs_updated_credentials"]]
        assert needs == [status in NEEDS_CREDENTIALS] * 2, status


def test_four_statuses_need_new_credentials() -> None:
    assert {"PREVENTED", "DENIED", "IMPORTED", "IMPAIRED"} == NEEDS_CREDENTIALS
