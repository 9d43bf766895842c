"""A plan in words: what is in the file, what is new, and what follows from importing it."""

from collections.abc import Iterator

from .planning import Plan

KINDS = {
    "Order": "orders",
    "CreditNote": "credit notes",
    "StockAdjustment": "stock adjustments",
    "LedgerAdjustment": "ledger adjustments",
}


def describe(plan: Plan) -> Iterator[str]:
    survey = plan.survey
    yield (
        f"{plan.file.name}: {survey.lines:,} lines, {survey.documents:,} documents,"
        f" {len(survey.orders):,} orders; dates {plan.form}"
    )
    if plan.left_out:
        yield (
            f"left out: {len(plan.left_out):,} faulty lines or documents, with"
            f" {len(plan.without):,} invoices"
        )
    if not survey.new_documents:
        yield "all of it is imported already"
        return
    if survey.known:
        yield f"continuing after {len(survey.known):,} documents that are imported already"
    new = (f"{count:,} {KINDS[kind]}" for kind, count in survey.kinds.items())
    yield f"to import: {', '.join(new)}"
    yield (
        f"catalogue: {len(survey.products) - len(plan.kept):,} products are added,"
        f" {len(plan.kept):,} that it knows stay as they are"
    )
    if plan.opening:
        yield (
            f"opening stock ({plan.opening_from}): {sum(plan.opening.values()):,} units of"
            f" {len(plan.opening):,} products are received"
        )
    else:
        yield "opening stock: nothing is received"
    yield (
        f"credits: {plan.unmatched:,} lines find no sale, wholly or in part; their customers have"
        f" {len(plan.earlier):,} orders of earlier imports"
    )
    yield "payments, refunds and parcels are recorded as made elsewhere; no provider is called"
