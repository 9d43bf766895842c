import pytest

from eventstore.money import Money
from eventstore.testing import given
from orders.catalogue.aggregate import PRODUCT, ProductNotOffered
from orders.commands import DelistProduct, ListProduct, RepriceProduct
from orders.events import ProductDelisted, ProductListed, ProductRepriced

PRICE, OTHER = Money(255, "GBP"), Money(295, "GBP")
LISTED = ProductListed("A", "Apple", PRICE)


def test_a_product_is_listed():
    given(PRODUCT).when(ListProduct("A", "Apple", PRICE)).then(LISTED)


def test_listing_it_again_as_it_is_changes_nothing():
    given(PRODUCT, LISTED).when(ListProduct("A", "Apple", PRICE)).then()
    repriced = ProductRepriced("A", OTHER)
    given(PRODUCT, LISTED, repriced).when(ListProduct("A", "Apple", OTHER)).then()


@pytest.mark.parametrize(("name", "price"), [("Pear", PRICE), ("Apple", OTHER)])
def test_listing_it_again_otherwise_lists_it_so(name, price):
    given(PRODUCT, LISTED).when(ListProduct("A", name, price)).then(ProductListed("A", name, price))


def test_a_delisted_product_can_be_listed_again():
    given(PRODUCT, LISTED, ProductDelisted("A")).when(ListProduct("A", "Apple", PRICE)).then(LISTED)


def test_a_product_is_repriced():
    given(PRODUCT, LISTED).when(RepriceProduct("A", OTHER)).then(ProductRepriced("A", OTHER))


def test_the_same_price_again_changes_nothing():
    given(PRODUCT, LISTED).when(RepriceProduct("A", PRICE)).then()


def test_what_is_not_offered_has_no_price_to_change():
    given(PRODUCT).when(RepriceProduct("A", OTHER)).refused(ProductNotOffered)
    given(PRODUCT, LISTED, ProductDelisted("A")).when(RepriceProduct("A", OTHER)).refused(
        ProductNotOffered
    )


def test_a_product_is_delisted_once():
    given(PRODUCT, LISTED).when(DelistProduct("A")).then(ProductDelisted("A"))
    given(PRODUCT, LISTED, ProductDelisted("A")).when(DelistProduct("A")).then()
    given(PRODUCT).when(DelistProduct("A")).then()
