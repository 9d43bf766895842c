"""An id for each account, apart from its name; and a token ends with the password, or the account, that it was got by."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# Their names stand in the events of the orders that they have placed, and events stay as they are. From here on nobody
# else is given such a name as an id, whatever becomes of the name.
KEEP_NAMES = """
    INSERT INTO orders_customer (customer_id, user_id)
    SELECT username, id
    FROM auth_user
    ON CONFLICT DO NOTHING
"""
# By the number of the account they were left under, and are theirs by the customer's id now.
KEEP_LEFT = """
    UPDATE eventstore_left_command AS kept
    SET principal = customer.customer_id
    FROM orders_customer AS customer
    WHERE kept.principal = customer.user_id::text
"""
# In the database, so that it holds for whatever changes an account: the admin, a command, an update of many at once.
END_TOKENS = """
    CREATE FUNCTION orders_end_tokens() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM knox_authtoken WHERE user_id = NEW.id;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER orders_end_tokens
    AFTER UPDATE OF password, is_active ON auth_user
    FOR EACH ROW
    WHEN (OLD.password IS DISTINCT FROM NEW.password OR (OLD.is_active AND NOT NEW.is_active))
    EXECUTE FUNCTION orders_end_tokens();
"""
KEEP_TOKENS = """
    DROP TRIGGER orders_end_tokens ON auth_user;
    DROP FUNCTION orders_end_tokens();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0004_orders_by_when_they_were_placed"),
        ("eventstore", "0027_the_owner_appends"),
        ("knox", "0009_extend_authtoken_field"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Customer",
            fields=[
                ("customer_id", models.TextField(primary_key=True, serialize=False)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="customer",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"db_table": "orders_customer"},
        ),
        migrations.RunSQL(KEEP_NAMES, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP_LEFT, migrations.RunSQL.noop),
        migrations.RunSQL(END_TOKENS, KEEP_TOKENS),
    ]
