"""Classify a line of an invoice by the first rule that matches."""

import re
from enum import StrEnum
from functools import lru_cache

from .line import Line


class LineClass(StrEnum):
    LEDGER_ADJUSTMENT = "LEDGER_ADJUSTMENT"
    CREDIT_GOODS = "CREDIT_GOODS"
    CREDIT_CHARGE = "CREDIT_CHARGE"
    STOCK_OUT = "STOCK_OUT"
    STOCK_IN = "STOCK_IN"
    FREE_LINE = "FREE_LINE"
    SALE_GOODS = "SALE_GOODS"
    SALE_CHARGE = "SALE_CHARGE"


def classify(line: Line, *, invoice_is_free: bool) -> LineClass:
    """invoice_is_free: whether every line of the invoice has price 0."""
    if line.invoice[0] == "A":
        return LineClass.LEDGER_ADJUSTMENT
    if line.invoice[0] == "C":
        return LineClass.CREDIT_GOODS if is_goods(line.code) else LineClass.CREDIT_CHARGE
    if line.quantity < 0:
        return LineClass.STOCK_OUT
    if line.price == 0:
        return (
            LineClass.STOCK_IN if invoice_is_free and line.customer is None else LineClass.FREE_LINE
        )
    return LineClass.SALE_GOODS if is_goods(line.code) else LineClass.SALE_CHARGE


@lru_cache(8192)
def is_goods(code: str) -> bool:
    """Whether the code is of goods. The other codes are postage, discounts, vouchers, fees and
    manual entries."""
    sku = code.upper()
    return sku == "PADS" or sku.startswith("DCGS") or bool(_NUMBERED.fullmatch(sku))


_NUMBERED = re.compile(r"[0-9]{5}[A-Z]{0,2}")
