"""Categories of transactions."""

from typing import Annotated

from msgspec import Struct

from coatcheck.http.doc import CATEGORY, doc
from coatcheck.http.encoding import Timestamp, to_schema
from coatcheck.http.pagination import Pagination, pagination
from coatcheck.model.categories import BY_NAME, Category
from coatcheck.model.paging import Page


class CategoryResponse(Struct, frozen=True, kw_only=True):
    created_at: Annotated[Timestamp | None, doc("Null: default categories are not created by anyone.")] = None
    guid: Annotated[str, doc("The guid of the category.", CATEGORY)]
    is_default: Annotated[bool, doc("Whether it is a category of every user.", True)] = True
    is_income: Annotated[bool, doc("Whether its transactions are income.")]
    metadata: Annotated[str | None, doc("Null.")] = None
    name: Annotated[str, doc("The name.", "Auto & Transport")]
    parent_guid: Annotated[
        str | None, doc("The guid of the category above it; null for a top-level category.")
    ]
    updated_at: Annotated[Timestamp | None, doc("Null: default categories do not change.")] = None


class CategoryResponseBody(Struct, frozen=True):
    category: Annotated[CategoryResponse, doc("The category.")]


class CategoriesResponseBody(Struct, frozen=True):
    categories: Annotated[list[CategoryResponse], doc("The categories on this page.")]
    pagination: Pagination


def category_body(category: Category) -> CategoryResponseBody:
    return CategoryResponseBody(_category(category))


def categories_body(categories: Page[Category]) -> CategoriesResponseBody:
    return CategoriesResponseBody([_category(each) for each in categories.items], pagination(categories))


def _category(category: Category) -> CategoryResponse:
    income = BY_NAME["Income"].guid
    return to_schema(category, CategoryResponse, is_income=income in {category.guid, category.parent_guid})
