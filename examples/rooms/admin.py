from django.contrib import admin

from eventstore.console.read_models import WHERE_IT_STANDS, ReadModelAdmin

from .models import Booking


@admin.register(Booking)
class BookingAdmin(ReadModelAdmin):
    list_display = ("booking_id", "room_id", "who", "starts_at", "status")
    fields = (*list_display, "ends_at", *WHERE_IT_STANDS)
