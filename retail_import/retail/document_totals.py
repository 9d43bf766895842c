"""Count orders, credit notes and adjustments, and the commands that an import of them sends."""

from collections import Counter

from .documents import CreditNote, Document, LedgerAdjustment, Order, StockAdjustment


class Orders:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(_ORDERS, 0))
        self._customers: set[str] = set()
        self._skus: set[str] = set()

    def add(self, document: Document) -> None:
        if not isinstance(document, Order):
            return
        value = document.value
        self._counts.update(
            placed=1,
            guest=document.customer is None,
            without_goods=not document.goods,
            zero_value=value == 0,
            lines=len(document.lines),
            value_milli_gbp=value,
        )
        self._customers.update([document.customer] if document.customer else ())
        self._skus.update(line.sku for line in document.goods)

    def totals(self) -> dict[str, int]:
        return {
            **self._counts,
            "distinct_customers": len(self._customers),
            "distinct_skus_upper": len(self._skus),
        }


class CreditNotes:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(_CREDIT_NOTES, 0))

    def add(self, document: Document) -> None:
        if isinstance(document, CreditNote):
            self._counts.update(
                count=1, guest=document.customer is None, without_goods=not document.goods
            )

    def totals(self) -> dict[str, int]:
        return dict(self._counts)


class Commands:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(_COMMANDS, 0))

    def add(self, document: Document) -> None:
        match document:
            case Order():
                goods = document.goods
                self._counts.update(
                    place_order=1,
                    pay_nonzero=document.value != 0,
                    ship_orders_with_goods=bool(goods),
                    reserve_lines=len(goods),
                    reserve_units=sum(line.quantity for line in goods),
                    charge_lines=len(document.lines) - len(goods),
                )
            case CreditNote():
                self._counts.update(credit_notes=1)
            case StockAdjustment():
                out = sum(line.quantity < 0 for line in document.lines)
                self._counts.update(stock_out_lines=out, stock_in_lines=len(document.lines) - out)
            case LedgerAdjustment():
                self._counts.update(ledger_adjustments=len(document.lines))

    def totals(self) -> dict[str, int]:
        return dict(self._counts)


_ORDERS = ("placed", "guest", "without_goods", "zero_value", "lines", "value_milli_gbp")
_CREDIT_NOTES = ("count", "guest", "without_goods")
_COMMANDS = (
    "place_order",
    "pay_nonzero",
    "ship_orders_with_goods",
    "reserve_lines",
    "reserve_units",
    "charge_lines",
    "credit_notes",
    "stock_out_lines",
    "stock_in_lines",
    "ledger_adjustments",
)
