"""The HTTP API: book and cancel a room, and query bookings."""

from typing import Any

from django.db.models import QuerySet
from django.urls import include, path
from rest_framework import serializers

from eventstore.api.commands import CommandView
from eventstore.api.queries import PagesView, RowView
from eventstore.api.serializers import Key, Moment, StrictSerializer

from .commands import BookRoom, CancelBooking
from .models import Booking

BOOKINGS = "/api/bookings/"


class BookingShape(StrictSerializer):
    room_id = Key()
    starts_at = Moment()
    ends_at = Moment()


class BookingAnswer(serializers.Serializer):
    booking_id = serializers.CharField()
    room_id = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    status = serializers.CharField()
    code = serializers.CharField()


class BookView(CommandView):
    """Book a room."""

    serializer_class = BookingShape
    id_field, query_url = "booking_id", BOOKINGS

    def command(self, **members: Any) -> BookRoom:
        return BookRoom(booking_id=self.new_id(), who=self.request.user.get_username(), **members)


class CancelView(CommandView):
    """Cancel a booking."""

    command = CancelBooking
    id_field, query_url = "booking_id", BOOKINGS


class BookingView(RowView):
    model, serializer_class = Booking, BookingAnswer

    def may_see(self, row: Any) -> bool:
        return bool(row.who == self.request.user.get_username())


class BookingsView(PagesView):
    """One's own bookings."""

    serializer_class, key = BookingAnswer, "booking_id"

    def rows(self) -> QuerySet[Any]:
        return Booking._default_manager.filter(who=self.request.user.get_username())


urlpatterns = [
    path("rooms/book/", BookView.as_view()),
    path("rooms/<str:room_id>/bookings/<str:booking_id>/cancel/", CancelView.as_view()),
    path("bookings/", BookingsView.as_view()),
    path("bookings/<str:booking_id>/", BookingView.as_view()),
    # Where the status of a deferred command is queried.
    path("", include("eventstore.api.urls")),
]
