-- When no replica is left that knows only the old name.
SET LOCAL lock_timeout = '500ms';

DROP TRIGGER purchases_both_requests ON purchases;
DROP FUNCTION purchases_both_requests();

-- Its CHECK goes with it. NOT VALID: true of every row by the one before, so the table need not be read while it is locked.
ALTER TABLE purchases DROP COLUMN request_fingerprint;
ALTER TABLE purchases ADD CONSTRAINT purchases_key_has_request CHECK ((idempotency_key IS NULL) = (request IS NULL)) NOT VALID;
COMMENT ON CONSTRAINT purchases_key_has_request ON purchases IS 'A key without the request it stood for could not tell a replay from a reuse';
