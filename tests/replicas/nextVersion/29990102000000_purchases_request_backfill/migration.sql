-- By itself, because the migration before holds the table while it runs: this one locks rows that nobody changes.
UPDATE purchases SET request = request_fingerprint WHERE request IS NULL AND request_fingerprint IS NOT NULL;
