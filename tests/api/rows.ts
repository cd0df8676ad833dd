import type { TestDatabase } from '../support/database.js';

export interface Fingerprint {
  readonly events: number;
  readonly purchases: number;
  readonly tickets: number;
  /** Of every value of every event, purchase and total of a buyer. */
  readonly hash: string;
}

/** How many rows there are and what they say, except tickets, which are only counted: equal before and after means that nothing was changed. */
export async function fingerprint({ sql }: Pick<TestDatabase, 'sql'>): Promise<Fingerprint> {
  const { rows } = await sql.query<Fingerprint>(`
    SELECT (SELECT count(*)::int FROM events) AS events,
           (SELECT count(*)::int FROM purchases) AS purchases,
           (SELECT count(*)::int FROM tickets) AS tickets,
           md5(concat((SELECT string_agg(e::text, ';' ORDER BY e.id) FROM events e),
                      (SELECT string_agg(p::text, ';' ORDER BY p.event_id, p.id) FROM purchases p),
                      (SELECT string_agg(b::text, ';' ORDER BY b.event_id, b.buyer_id) FROM buyer_totals b))) AS hash`);
  return rows[0]!;
}
