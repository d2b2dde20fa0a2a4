"""MX's Platform API over HTTP, as a client of it: authentication, versions, paging and errors."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import httpx

from coatcheck.connectors.json_answers import Row, check_status, json_object, object_of, rows_of
from coatcheck.errors import BankDataUnusable

Version = Literal["v20111101", "v20250224"]

MEDIA_TYPES: Mapping[str, str] = {
    "v20111101": "application/vnd.mx.api.v1+json",
    "v20250224": "application/json",
}
PAGE_SIZE = 100
"""The greatest that every list of MX's accepts."""
MAX_PAGES = 2_000


class MxApi:
    """One upstream."""

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, credentials: tuple[str, str], version: Version
    ) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._auth = httpx.BasicAuth(*credentials)
        self._headers = {"accept": MEDIA_TYPES[version], "accept-version": version}

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Row:
        """The object in the answer.

        Raises:
            UpstreamRefused: the answer is 4xx.
            BankError: the upstream failed.
        """
        return json_object(await self._send("GET", path, query=query))

    async def send(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Row:
        """As `get`, for a request that changes something."""
        return json_object(await self._send(method, path, body=body, query=query))

    async def delete(self, path: str) -> None:
        """Deletes an object.

        Raises:
            UpstreamRefused: the answer is 4xx.
            BankError: the upstream failed.
        """
        response = await self._send("DELETE", path)
        if response.status_code != 204:
            raise BankDataUnusable

    async def pages(
        self, path: str, key: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[list[Row]]:
        """The rows of a list, page by page.

        Raises:
            UpstreamRefused: the answer is 4xx.
            BankError: the upstream failed.
        """
        for number in range(1, MAX_PAGES + 1):
            paging = {"page": str(number), "records_per_page": str(PAGE_SIZE)}
            page = await self.get(path, {**(query or {}), **paging})
            rows, pages = rows_of(page, key), object_of(page, "pagination").get("total_pages")
            yield rows
            # A list that breaks off would look as if the upstream had removed the rest: accounts would be closed.
            is_last = number >= pages if isinstance(pages, int) else len(rows) < PAGE_SIZE
            if not rows or is_last:
                return
        raise BankDataUnusable("The upstream's list has too many pages.")

    async def rows(self, path: str, key: str, query: Mapping[str, str] | None = None) -> list[Row]:
        """All rows of a list."""
        return [row async for page in self.pages(path, key, query) for row in page]

    async def content(self, path: str) -> bytes:
        """The body of an answer that is not JSON."""
        return (await self._send("GET", path, accept="*/*")).content

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        accept: str | None = None,
    ) -> httpx.Response:
        response = await self._http.request(
            method,
            self._base_url + path,
            params=query,
            json=body,
            auth=self._auth,
            headers=self._headers | ({"accept": accept} if accept else {}),
        )
        check_status(response)
        return response
