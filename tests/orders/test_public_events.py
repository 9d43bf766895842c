import pytest

from orders.api.public_events import PUBLIC_FIELDS, shape


@pytest.mark.parametrize("event", PUBLIC_FIELDS, ids=lambda event: event.__name__)
def test_the_description_of_an_event_leaves_out_its_hidden_fields(event):
    described = " ".join((shape(event).__doc__ or "").split())
    hidden = set(event.__struct_fields__) - set(PUBLIC_FIELDS[event])
    assert [field for field in hidden if f"{field}: " in described] == []
