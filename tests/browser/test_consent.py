"""What the user reads on the consent screen is what is signed."""

import pytest

from tests.browser.scene import Scene
from tests.factories import make_processor


@pytest.mark.parametrize("locale", ["en", "es", "fr-CA"])
async def test_every_line_of_the_signed_text_is_on_the_screen_in_this_order(
    scene: Scene, locale: str
) -> None:
    for name in ("Acme Pay", "Books & Co"):
        await make_processor(scene.services, scene.api.caller, name=name)
    widget = await scene.embed(locale=locale, mode="verification", include_identity=True)
    shown = " ".join((await widget.frame.locator("body").inner_text()).split())
    async with widget.page.expect_response(lambda response: response.url.endswith("/consent")):
        await widget.frame.locator("form button").click()
    async with scene.services.db.connection() as connection:
        cursor = await connection.execute(
            "SELECT text FROM authorization_disclosure WHERE user_guid = %s", (scene.user,)
        )
        ((text,),) = await cursor.fetchall()
    place = 0
    for line in text.splitlines():
        place = shown.index(line, place) + len(line)
    assert "Acme Pay, " in text
    assert "Books & Co" in text
