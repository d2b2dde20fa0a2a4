"""The default categories. Nobody makes any of their own here, so a user's are the same."""

from coatcheck.api.paging import read_page
from coatcheck.api.request import ApiRequest
from coatcheck.errors import NotFound
from coatcheck.model.categories import BY_GUID, DEFAULTS
from coatcheck.model.paging import paginate


async def defaults(request: ApiRequest) -> bytes:
    return request.presenter.show_categories(paginate(DEFAULTS, read_page(request.query)))


async def read_default(request: ApiRequest) -> bytes:
    category = BY_GUID.get(request.path["category"])
    if category is None:
        raise NotFound
    return request.presenter.show_category(category)


async def defaults_of_user(request: ApiRequest) -> bytes:
    await request.user()
    return await defaults(request)


async def list_(request: ApiRequest) -> bytes:
    await request.user()
    return await defaults(request)


async def read(request: ApiRequest) -> bytes:
    await request.user()
    return await read_default(request)
