-- An idempotency key is bytes to us, not words of a language. Compared by the rules of a locale, its unique index depends on
-- the C library (or ICU) of the machine: when that sorts differently after an upgrade, or on a standby with another version,
-- look-ups miss keys that are there, and a key buys twice. "C" compares bytes, everywhere.
--
-- The table is not rewritten, but the unique index is, at about a second for a million purchases, and nobody buys meanwhile.
SET LOCAL lock_timeout = '500ms';

ALTER TABLE purchases ALTER COLUMN idempotency_key TYPE text COLLATE "C";

-- Sessions of running replicas have prepared statements that return the column, and Postgres refuses those for good once its
-- collation is another ("cached plan must not change result type"). A batch whose session ends is tried again on another one,
-- which plans anew after this transaction. The sessions of another role cannot be ended here.
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE datname = current_database() AND usename = current_user AND application_name IN ('onsale sale', 'onsale reads', 'onsale admin');
