-- A token ends with the password, or the account, that it was got by. In the database, so that it holds for whatever
-- changes an account: the admin, a command, an update of many at once.
CREATE FUNCTION access_end_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM knox_authtoken WHERE user_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER access_end_tokens
AFTER UPDATE OF password, is_active ON auth_user
FOR EACH ROW
WHEN (OLD.password IS DISTINCT FROM NEW.password OR (OLD.is_active AND NOT NEW.is_active))
EXECUTE FUNCTION access_end_tokens();
