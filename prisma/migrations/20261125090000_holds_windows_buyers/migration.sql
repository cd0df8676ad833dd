-- Holds, sale windows, limits per buyer, cancellation. Everything is added, and nothing that exists changes its meaning: replicas
-- of the version before insert purchases without the new columns, and the defaults say what those are: confirmed, of nobody.
--
-- They know nothing of the new rules of an event, so set none while both versions run.
SET LOCAL lock_timeout = '500ms';

CREATE TYPE purchase_status AS ENUM ('held', 'confirmed', 'released', 'expired', 'cancelled');

ALTER TABLE events
    ADD COLUMN sale_starts_at timestamptz(3),
    ADD COLUMN sale_ends_at timestamptz(3),
    ADD COLUMN max_per_buyer integer,
    ADD COLUMN hold_seconds integer,
    ADD CONSTRAINT events_sale_window CHECK (sale_starts_at < sale_ends_at),
    ADD CONSTRAINT events_max_per_buyer_range CHECK (max_per_buyer BETWEEN 1 AND 1000000),
    ADD CONSTRAINT events_hold_seconds_range CHECK (hold_seconds BETWEEN 10 AND 3600);

COMMENT ON CONSTRAINT events_sale_window ON events IS 'The same order as the API';
COMMENT ON CONSTRAINT events_max_per_buyer_range ON events IS 'The same bounds as the API';
COMMENT ON CONSTRAINT events_hold_seconds_range ON events IS 'The same bounds as the API';

-- Constant defaults are kept in the catalogue, so no row is rewritten. NOT VALID skips the scan of the rows that exist, which
-- satisfy the constraint by those defaults; the next migration validates it without blocking the sale.
ALTER TABLE purchases
    ADD COLUMN status purchase_status NOT NULL DEFAULT 'confirmed',
    ADD COLUMN expires_at timestamptz(3),
    ADD COLUMN buyer_id text COLLATE "C",
    ADD COLUMN reference text COLLATE "C",
    ADD CONSTRAINT purchases_hold_expires CHECK (status <> 'held' OR expires_at IS NOT NULL) NOT VALID;

COMMENT ON CONSTRAINT purchases_hold_expires ON purchases IS 'A hold without an end would keep its tickets for ever';

-- Each reads the table once: half a second for a million purchases, during which nobody buys.
--
-- Partial, so that a purchase that is confirmed at once and names no buyer and no reference costs no entry. `quantity` is
-- included because reads sum it over the expired holds.
CREATE INDEX purchases_held_idx ON purchases (event_id, expires_at) INCLUDE (quantity) WHERE status = 'held';
CREATE INDEX purchases_buyer_idx ON purchases (event_id, buyer_id) WHERE buyer_id IS NOT NULL;
CREATE INDEX purchases_reference_idx ON purchases (event_id, reference) WHERE reference IS NOT NULL;

-- The tickets that a buyer holds or has bought, kept by every statement that changes them under the lock of the event's row.
-- `quantity_max` is the event's max_per_buyer as of the last purchase, null where it had none. A release under a limit that has
-- been lowered leaves it as it is.
CREATE TABLE buyer_totals (
    event_id uuid NOT NULL,
    buyer_id text COLLATE "C" NOT NULL,
    quantity integer NOT NULL,
    quantity_max integer,
    CONSTRAINT buyer_totals_pkey PRIMARY KEY (event_id, buyer_id),
    CONSTRAINT buyer_totals_within_limit CHECK (quantity >= 0 AND quantity <= quantity_max)
) WITH (fillfactor = 80);

COMMENT ON CONSTRAINT buyer_totals_within_limit ON buyer_totals IS 'On the fast path this is the guard of max_per_buyer; elsewhere its last defence';
