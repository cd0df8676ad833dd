import type { TestDatabase } from '../support/database.js';

export interface Fingerprint {
  readonly events: number;
  readonly purchases: number;
  readonly tickets: number;
  /** Of every value of every event. */
  readonly hash: string | null;
}

/** How many rows there are and what the events say: equal before and after means that nothing was changed. */
export async function fingerprint({ sql }: Pick<TestDatabase, 'sql'>): Promise<Fingerprint> {
  const { rows } = await sql.query<Fingerprint>(`
    SELECT (SELECT count(*)::int FROM events) AS events,
           (SELECT count(*)::int FROM purchases) AS purchases,
           (SELECT count(*)::int FROM tickets) AS tickets,
           (SELECT md5(string_agg(e::text, ';' ORDER BY e.id)) FROM events e) AS hash`);
  return rows[0]!;
}
