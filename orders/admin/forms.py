"""How many of each part of an order or a return, asked for by a form."""

from collections.abc import Sequence
from typing import Any

from django import forms

from orders.events import Portion, ReturnedLine
from orders.order.aggregate import Order
from orders.returns import quantities

LINE, CHARGE = "line", "charge"


class QuantitiesForm(forms.Form):
    """A field for each part that is there, which says how many of it there are at the most."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not any(cleaned.values()):
            raise forms.ValidationError("Say how many of at least one.")
        return cleaned

    def portions(self, kind: str) -> list[Portion]:
        """What was filled in, of lines or of charges."""
        return [
            Portion(int(name.removeprefix(f"{kind}-")), quantity)
            for name, quantity in self.cleaned_data.items()
            if quantity and name.startswith(f"{kind}-")
        ]

    def ask(self, kind: str, number: int, name: str, most: int, *, initial: int) -> None:
        self.fields[f"{kind}-{number}"] = forms.IntegerField(
            label=f"{name}, at most {most}",
            min_value=0,
            max_value=most,
            initial=initial,
            required=False,
        )


def to_return(order: Order, sent: Any = None) -> QuantitiesForm:
    """What is left of an order that may come back; nobody has said yet that anything does."""
    form = QuantitiesForm(sent)
    for kind, parts, back in (
        (LINE, order.lines, order.lines_back),
        (CHARGE, order.charges, order.charges_back),
    ):
        for number, units in quantities.left(parts, back).items():
            if units:
                form.ask(kind, number, parts[number - 1].name, units, initial=0)
    return form


def to_receive(awaited: Sequence[ReturnedLine], sent: Any = None) -> QuantitiesForm:
    """What is awaited, of which as a rule all has come."""
    form = QuantitiesForm(sent)
    for line in awaited:
        form.ask(LINE, line.number, line.sku, line.quantity, initial=line.quantity)
    return form
