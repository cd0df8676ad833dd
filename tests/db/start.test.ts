/**
 * Goal: a start with DATABASE_URL ends with one sentence where waiting cannot help, and otherwise waits, says so, and gets ready.
 * Method: the built program, as a replica and as the migration, on databases of this file.
 */
import { expect, test, afterAll } from '@jest/globals';
import { createTestDatabase, useDatabase } from '../support/database.js';
import { startFakePostgres } from '../support/fakePostgres.js';
import { failure, startProgram, stopProgram, stopPrograms, until } from '../support/program.js';

const database = useDatabase();
const settings = (url: string) => ({ DATABASE_URL: url, ADMIN_TOKEN: 'a-token-of-the-environment' });
afterAll(stopPrograms);

function wrongPassword(): string {
  const url = new URL(database.url);
  url.password = 'wrong';
  return url.href;
}

test('a fault that waiting cannot end is one sentence and the exit code 1, for a replica and for a migration', async () => {
  const sentence = /^Postgres at \S+ rejects the password of the user "onsale", or has no such user; correct .* in DATABASE_URL\.$/;
  await expect(failure(startProgram('', settings(wrongPassword())))).resolves.toMatch(sentence);
  await expect(failure(startProgram('', settings(wrongPassword()), ['migrate']))).resolves.toMatch(sentence);
});

test('an unknown sslmode is refused in one sentence, for a replica and for a migration', async () => {
  const url = `${database.url}?sslmode=on`;
  const sentence = 'DATABASE_URL has the unknown sslmode "on"; use one of disable, prefer, require, verify-ca, verify-full, no-verify.';
  await expect(failure(startProgram('', settings(url)))).resolves.toBe(sentence);
  await expect(failure(startProgram('', settings(url), ['migrate']))).resolves.toBe(sentence);
});

test('a replica waits for the migration, says so once, and is ready after it', async () => {
  const empty = await createTestDatabase({ empty: true });
  const replica = startProgram('', settings(empty.url));
  await until(() => replica.output().includes('"msg":"listening"'), 'listening');
  await until(() => replica.output().includes('"msg":"waiting for the database"'), 'the reason');
  const migration = startProgram('', settings(empty.url), ['migrate']);
  await until(() => migration.exitCode !== null, 'the end of the migration');
  expect(migration.output()).toMatch(/^Applied [\w, ]+\.\n$/);
  await until(() => replica.output().includes('"msg":"ready"'), 'ready');
  const lines = replica
    .output()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; reason?: string });
  expect(lines.find(({ msg }) => msg === 'waiting for the database')?.reason).toMatch(
    /lacks \S+ and \d other migrations; run "npm run db:migrate"/,
  );
  await stopProgram(replica);
  expect(replica.exitCode).toBe(0);
  await empty.drop();
}, 60_000);

test('a replica waits for a server that starts up, and ends when a fault appears that does not pass', async () => {
  const starting = await startFakePostgres({ refusal: { state: '57P03', message: 'the database system is starting up' } });
  const replica = startProgram('', settings(starting.url));
  await until(() => replica.output().includes('the database system is starting up'), 'the reason');
  starting.replies = { refusal: { state: '3D000', message: 'database "onsale" does not exist' } };
  const output = await failure(replica);
  expect(output).toMatch(/^Postgres at \S+ has no database "onsale"; create it, or correct the database in DATABASE_URL\.$/m);
  await starting.close();
});

test('a replica that waits for its database ends at SIGTERM', async () => {
  const starting = await startFakePostgres({ refusal: { state: '57P03', message: 'the database system is starting up' } });
  const replica = startProgram('', settings(starting.url));
  await until(() => replica.output().includes('the database system is starting up'), 'the reason');
  await stopProgram(replica);
  expect(replica.exitCode).toBe(0);
  await starting.close();
});
