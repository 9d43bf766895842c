"""What a test has taken from every role of the database is given back."""

from django.db import connection

ALLOW_LOCKING = """
    DO $$
    DECLARE
        each regprocedure;
    BEGIN
        FOR each IN
            SELECT oid FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND pronargs = 1
                AND proname LIKE '%advisory%lock%'
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', each);
        END LOOP;
    END $$
"""


def drop(role):
    with connection.cursor() as cursor:
        # A pooler keeps connections. They would act for the dropped role, not for its successor.
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role]
        )
        cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        cursor.execute(ALLOW_LOCKING)
