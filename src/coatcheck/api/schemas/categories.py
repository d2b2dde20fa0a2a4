"""Categories of transactions."""

from msgspec import Struct

from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import PaginationResponse, pagination
from coatcheck.model.categories import BY_NAME, Category
from coatcheck.model.paging import Page


class CategoryResponse(Struct, frozen=True, kw_only=True):
    created_at: Timestamp | None = None
    guid: str
    is_default: bool = True
    is_income: bool
    metadata: str | None = None
    name: str
    parent_guid: str | None
    updated_at: Timestamp | None = None


class CategoryResponseBody(Struct, frozen=True):
    category: CategoryResponse


class CategoriesResponseBody(Struct, frozen=True):
    categories: list[CategoryResponse]
    pagination: PaginationResponse


def category_body(category: Category) -> CategoryResponseBody:
    return CategoryResponseBody(_category(category))


def categories_body(categories: Page[Category]) -> CategoriesResponseBody:
    return CategoriesResponseBody([_category(each) for each in categories.items], pagination(categories))


def _category(category: Category) -> CategoryResponse:
    income = BY_NAME["Income"].guid
    return to_schema(category, CategoryResponse, is_income=income in {category.guid, category.parent_guid})
