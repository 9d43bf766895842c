"""The tables of the models; a token ends when the password or the account that it was made for does."""

from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

END_TOKENS = Path(__file__).parent.parent / "sql" / "access_end_tokens.sql"
KEEP_TOKENS = """
    DROP TRIGGER access_end_tokens ON auth_user;
    DROP FUNCTION access_end_tokens();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ("knox", "0009_extend_authtoken_field"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Customer',
            fields=[
                ('customer_id', models.TextField(primary_key=True, serialize=False)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='customer', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'access_customer',
            },
        ),
        migrations.RunSQL(END_TOKENS.read_text(), KEEP_TOKENS),
    ]
