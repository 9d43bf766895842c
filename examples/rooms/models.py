from django.db import models

from eventstore.models import ReadModel


class Booking(ReadModel):
    booking_id = models.TextField(primary_key=True)
    room_id = models.TextField(default="")
    who = models.TextField(default="")
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    status = models.TextField(default="BOOKED")
    code = models.TextField(default="")
