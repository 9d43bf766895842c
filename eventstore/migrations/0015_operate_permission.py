from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("eventstore", "0014_rebuilds"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="operatoraction",
            options={"permissions": [("operate", "Can retry, discard, pause and the like, giving a reason")]},
        ),
    ]
