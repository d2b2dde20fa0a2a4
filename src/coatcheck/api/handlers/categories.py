"""The default categories. Nobody makes any of their own here, so a user's are the same."""

from coatcheck.api.paging import read_page
from coatcheck.api.request import Call
from coatcheck.errors import NotFound
from coatcheck.model.categories import BY_GUID, DEFAULTS
from coatcheck.model.paging import cut


async def defaults(call: Call) -> bytes:
    return call.wire.show_categories(cut(DEFAULTS, read_page(call.query)))


async def read_default(call: Call) -> bytes:
    category = BY_GUID.get(call.path["category"])
    if category is None:
        raise NotFound
    return call.wire.show_category(category)


async def defaults_of_user(call: Call) -> bytes:
    await call.user()
    return await defaults(call)


async def list_(call: Call) -> bytes:
    await call.user()
    return await defaults(call)


async def read(call: Call) -> bytes:
    await call.user()
    return await read_default(call)
