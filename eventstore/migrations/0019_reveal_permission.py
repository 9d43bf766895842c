from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("eventstore", "0018_the_console"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="operatoraction",
            options={
                "permissions": [
                    ("operate", "Can retry, discard, pause and the like, giving a reason"),
                    ("reveal", "Can see what is about a person, giving a reason"),
                ]
            },
        ),
    ]
