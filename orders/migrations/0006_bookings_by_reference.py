"""The console finds a booking by its reference along an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0005_accounts")]
    operations = [
        migrations.AddIndex("bookingview", models.Index(fields=["reference"], name="bookings_by_reference")),
    ]
