"""Endpoints for categories and merchants, which are the same for every client."""

from coatcheck.api.handlers import categories, merchants
from coatcheck.api.routes.parameters import USER
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.categories import CategoriesResponseBody, CategoryResponseBody
from coatcheck.api.schemas.merchants import (
    MerchantLocationResponseBody,
    MerchantResponseBody,
    MerchantsResponseBody,
)
from coatcheck.http.route import PAGE, Group, Parameter

REFERENCE_DATA = Group(
    "Categories and merchants",
    "Reference data of transactions.",
    (
        Route(
            "GET",
            "/categories/default",
            categories.defaults,
            "listDefaultCategories",
            "List the default categories",
            query=PAGE,
            answer=CategoriesResponseBody,
        ),
        Route(
            "GET",
            "/categories/{category}",
            categories.read_default,
            "readDefaultCategory",
            "Read a default category",
            answer=CategoryResponseBody,
        ),
        Route(
            "GET",
            f"{USER}/categories/default",
            categories.list_of_user,
            "listDefaultCategoriesByUser",
            "List the default categories for a user",
            query=PAGE,
            answer=CategoriesResponseBody,
        ),
        Route(
            "GET",
            f"{USER}/categories",
            categories.list_of_user,
            "listCategories",
            "List the categories of a user",
            query=PAGE,
            answer=CategoriesResponseBody,
        ),
        Route(
            "GET",
            f"{USER}/categories/{{category}}",
            categories.read,
            "readCategory",
            "Read a category of a user",
            answer=CategoryResponseBody,
        ),
        Route(
            "GET",
            "/merchants",
            merchants.list_,
            "listMerchants",
            "Search merchants",
            query=(Parameter("name", "Part of the name, case-insensitive."), *PAGE),
            answer=MerchantsResponseBody,
        ),
        Route(
            "GET",
            "/merchants/{merchant}",
            merchants.read,
            "readMerchant",
            "Read a merchant",
            answer=MerchantResponseBody,
        ),
        Route(
            "GET",
            "/merchant_locations/{merchant_location}",
            merchants.read_location,
            "readMerchantLocation",
            "Read a merchant location",
            answer=MerchantLocationResponseBody,
        ),
    ),
)
