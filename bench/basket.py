"""The orders of every contender: two items each, over a hundred products."""

PRODUCTS = [f"P{number}" for number in range(100)]
PRICES = {sku: 1999 if number < 50 else 500 for number, sku in enumerate(PRODUCTS)}
QUANTITIES = (2, 1)
TOTAL = 4498
PLENTY = 10**9

# Orders placed and confirmed before the clock starts, so that connections, imports and plans are
# not measured.
WARM_UP = 20


def skus(order: int) -> tuple[str, str]:
    """The products of the n-th order."""
    return PRODUCTS[order % 50], PRODUCTS[50 + order % 50]


def items(order: int) -> list[dict[str, str | int]]:
    return [
        {"product_id": sku, "quantity": quantity, "unit_price": PRICES[sku]}
        for sku, quantity in zip(skus(order), QUANTITIES, strict=True)
    ]
