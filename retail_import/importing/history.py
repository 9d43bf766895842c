"""What the imports so far have brought."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.commands import repository
from eventstore.models import Event
from orders.catalogue.aggregate import PRODUCT
from orders.order.aggregate import ORDER

from ..earlier_orders import slices
from ..import_progress import HISTORY_IMPORT, SHOP


class History(NamedTuple):
    """appends: of all imports. documents: digest by key. levels: units by SKU that the imports have
    left, without any other stock. opening: units by SKU received as the opening stock of one file.
    """

    appends: int
    documents: dict[str, str]
    levels: Counter[str]
    opening: Counter[str]


def load(import_id: str) -> History:
    """import_id: of the file whose opening stock is wanted."""
    history = History(0, {}, Counter(), Counter())
    appends = 0
    for message in log.read_stream(stream_name(HISTORY_IMPORT.category, SHOP)):
        event, appends = message.body, appends + 1
        history.documents.update({each.key: each.digest for each in event.documents})
        opening = {each.sku: each.units for each in event.opening}
        history.levels.update({each.sku: each.units for each in event.stock})
        history.levels.update(opening)
        if event.import_id == import_id:
            history.opening.update(opening)
    return history._replace(appends=appends)


def orders_that_exist(order_ids: Collection[str]) -> set[str]:
    found = set[str]()
    for some in slices(list(order_ids)):
        streams = {stream_name(ORDER.category, each): each for each in some}
        events = Event.objects.filter(stream__in=list(streams), version=1)
        found.update(streams[each] for each in events.values_list("stream", flat=True))
    return found


def products_that_exist(skus: Iterable[str]) -> set[str]:
    """Offered now, or at any time before."""
    streams = {stream_name(PRODUCT.category, each): each for each in skus}
    loaded = repository.load(streams)
    return {streams[stream] for stream, state in loaded.items() if state.version}


def available(skus: Iterable[str]) -> dict[str, int]:
    """Units in stock, by the log."""
    streams = {stream_name("stock", each): each for each in skus}
    loaded = repository.load(streams)
    return {streams[stream]: state.state.available for stream, state in loaded.items()}
