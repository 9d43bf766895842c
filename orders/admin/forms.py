"""Forms for the quantities of an order's or a return's lines and charges."""

from collections.abc import Sequence
from typing import Any

from django import forms

from orders.events import Portion, ReturnedLine
from orders.order.aggregate import Order
from orders.returns import quantities

LINE, CHARGE = "line", "charge"


class QuantitiesForm(forms.Form):
    """One field for each line or charge, bounded by the units that it has."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not any(cleaned.values()):
            raise forms.ValidationError("Enter a quantity for at least one line.")
        return cleaned

    def portions(self, kind: str) -> list[Portion]:
        """The quantities entered for lines or for charges."""
        return [
            Portion(int(name.removeprefix(f"{kind}-")), quantity)
            for name, quantity in self.cleaned_data.items()
            if quantity and name.startswith(f"{kind}-")
        ]

    def add(self, kind: str, number: int, name: str, most: int, *, initial: int) -> None:
        self.fields[f"{kind}-{number}"] = forms.IntegerField(
            label=f"{name}, at most {most}",
            min_value=0,
            max_value=most,
            initial=initial,
            required=False,
        )


def to_return(order: Order, sent: Any = None) -> QuantitiesForm:
    """The units of an order that are left to return; 0 of each at first."""
    form = QuantitiesForm(sent)
    for kind, parts, back in (
        (LINE, order.lines, order.lines_back),
        (CHARGE, order.charges, order.charges_back),
    ):
        for number, units in quantities.left(parts, back).items():
            if units:
                form.add(kind, number, parts[number - 1].name, units, initial=0)
    return form


def to_receive(awaited: Sequence[ReturnedLine], sent: Any = None) -> QuantitiesForm:
    """The goods that a return awaits; all of them at first."""
    form = QuantitiesForm(sent)
    for line in awaited:
        form.add(LINE, line.number, line.sku, line.quantity, initial=line.quantity)
    return form
