"""Files of our pages: how long browsers keep them."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from coatcheck.http.static_files import StaticFolder, file_route


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page.js").write_text("export {};" * 200)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "style.css").write_text("a {}")
    return tmp_path


async def get(app: Starlette, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path, headers=headers)


async def test_a_file_of_a_folder_is_kept_for_a_year_and_never_validated(folder: Path) -> None:
    static = StaticFolder(folder, "/static")
    answer = await get(Starlette(routes=[static.route()]), f"{static.base}/page.js")
    assert answer.text == "export {};" * 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-encoding"] == "gzip"
    assert not {"etag", "last-modified", "accept-ranges"} & set(answer.headers)
    inner = await get(Starlette(routes=[static.route()]), f"{static.base}/inner/style.css")
    assert inner.text == "a {}"


@pytest.mark.parametrize("path", ["other.js", "..%2fother.js", "inner"])
async def test_nothing_keeps_the_answer_that_a_file_does_not_exist(folder: Path, path: str) -> None:
    static = StaticFolder(folder, "/static")
    answer = await get(Starlette(routes=[static.route()]), f"{static.base}/{path}")
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (404, b"", "no-store")


def test_the_path_changes_with_the_name_and_with_the_content_of_any_file(folder: Path) -> None:
    first = StaticFolder(folder, "/static").base
    assert first.startswith("/static/")
    assert len(first.removeprefix("/static/")) == 16
    (folder / "inner" / "style.css").write_text("b {}")
    second = StaticFolder(folder, "/static").base
    (folder / "inner" / "style.css").rename(folder / "style.css")
    third = StaticFolder(folder, "/static").base
    assert len({first, second, third}) == 3
    (folder / "style.css").rename(folder / "inner" / "style.css")
    (folder / "inner" / "style.css").write_text("a {}")
    assert StaticFolder(folder, "/static").base == first


async def test_a_file_at_a_fixed_path_is_kept_for_a_while(folder: Path) -> None:
    app = Starlette(routes=[file_route("/page.js", folder / "page.js", max_age=60)])
    answer = await get(app, "/page.js")
    assert answer.text == "export {};" * 200
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
