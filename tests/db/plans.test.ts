/**
 * Goal: a session that has planned its statements while a table was nearly empty does not keep those plans during a sale.
 * Method: a table of one row, which every plan reads whole, is filled; the server counts whether the same session goes on so.
 */
import { expect, test } from '@jest/globals';
import type { Pool } from '../../src/db/client.js';
import { useDatabase } from '../support/database.js';

const database = useDatabase();

/** Looks up one row. @returns how often the table was read whole since it was made */
async function lookUp({ prisma }: Pool): Promise<number> {
  await prisma.$queryRaw`SELECT id FROM filling WHERE id = ${1}::int`;
  await prisma.$queryRaw`SELECT pg_stat_force_next_flush()::text`;
  const { rows } = await database.sql.query<{ count: number }>(
    `SELECT seq_scan::int AS count FROM pg_stat_user_tables WHERE relname = 'filling'`,
  );
  return rows[0]!.count;
}

test('a busy session plans its statements again within seconds, with the tables as they are by then', async () => {
  await database.sql.query(`CREATE TABLE filling (id int PRIMARY KEY) WITH (autovacuum_enabled = false)`);
  await database.sql.query('INSERT INTO filling VALUES (1)');
  await database.sql.query('ANALYZE filling');
  const pool = database.openPool({ connectionsMax: 1, readFenceMs: 1 });
  for (let times = 0; times < 20; times += 1) await lookUp(pool);
  await database.sql.query('INSERT INTO filling SELECT generate_series(2, 20000)');
  const limitMs = performance.now() + 20_000;
  let before = await lookUp(pool);
  expect(before).toBeGreaterThan(0); // so the first plan was the wrong one
  for (let now = before; performance.now() < limitMs; before = now) {
    now = await lookUp(pool);
    if (now === before) return;
  }
  throw new Error('the table was read whole to the end');
});
