-- `request_fingerprint` is to be called `request`. First both: the version before writes and reads the old one, the version
-- that brings this migration the new one, and each finds what the other wrote.
--
-- Whoever waits for a lock on the table keeps every sale waiting behind him: rather give up, change nothing, and try again.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE purchases ADD COLUMN request text;

CREATE FUNCTION purchases_both_requests() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.request := coalesce(NEW.request, NEW.request_fingerprint);
    NEW.request_fingerprint := NEW.request;
    RETURN NEW;
END $$;

CREATE TRIGGER purchases_both_requests BEFORE INSERT OR UPDATE ON purchases
    FOR EACH ROW EXECUTE FUNCTION purchases_both_requests();
