"""The default categories. Clients and users have no categories of their own."""

from coatcheck.api.request import ApiRequest
from coatcheck.api.schemas.categories import (
    CategoriesResponseBody,
    CategoryResponseBody,
    categories_body,
    category_body,
)
from coatcheck.errors import NotFound
from coatcheck.http.query import read_page
from coatcheck.model.categories import BY_GUID, DEFAULTS
from coatcheck.model.paging import paginate


async def defaults(request: ApiRequest) -> CategoriesResponseBody:
    return categories_body(paginate(DEFAULTS, read_page(request.query)))


async def read_default(request: ApiRequest) -> CategoryResponseBody:
    category = BY_GUID.get(request.path["category"])
    if category is None:
        raise NotFound
    return category_body(category)


async def list_of_user(request: ApiRequest) -> CategoriesResponseBody:
    await request.user()
    return await defaults(request)


async def read(request: ApiRequest) -> CategoryResponseBody:
    await request.user()
    return await read_default(request)
