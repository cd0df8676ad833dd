/**
 * The last defences against overselling: constraints and indexes without which a bug or a race in the program could be committed.
 * A recorded migration does not prove that they exist: a restore fills the tables first and creates the indexes afterwards.
 */
import { Prisma } from '../generated/prisma/client.js';

/** A query for `ARRAY (…)`: one text for each defence that is missing or not in force. */
export const missingDefences = Prisma.sql`
  SELECT 'the check ' || needed.name
    FROM (VALUES ('events', 'events_available_within_quota'),
                 ('buyer_totals', 'buyer_totals_within_limit')) AS needed (of, name)
   WHERE NOT EXISTS (
     SELECT FROM pg_constraint c
      WHERE c.conrelid = to_regclass(needed.of) AND c.contype = 'c' AND c.conname = needed.name AND c.convalidated
        AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)) -- a column of Postgres 18
  UNION ALL
  SELECT format('the unique index on %s (%s)', needed.name, array_to_string(needed.columns, ', '))
    FROM (VALUES ('events', '{id}'::text[]),
                 ('purchases', '{event_id,id}'),
                 ('purchases', '{event_id,idempotency_key}'),
                 ('tickets', '{event_id,purchase_id,id}'),
                 ('buyer_totals', '{event_id,buyer_id}')) AS needed (name, columns)
   WHERE NOT EXISTS (
     SELECT FROM pg_index i
      WHERE i.indrelid = to_regclass(needed.name)
        AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready AND i.indislive AND NOT i.indnullsnotdistinct
        AND i.indpred IS NULL AND i.indexprs IS NULL
        AND needed.columns = ARRAY (
              SELECT a.attname::text
                FROM unnest(i.indkey) WITH ORDINALITY AS key (attnum, place)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.attnum
               WHERE key.place <= i.indnkeyatts
               ORDER BY key.place))`;
