/**
 * Goal: a database that cannot be used at a start is explained in one sentence that says what to do, and only what may pass is waited for.
 * Method: a real Postgres with users and databases of this file; a server with a few lines of the protocol for states that a real one
 * is hard to bring into.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { beforeAll, expect, test } from '@jest/globals';
import { examine } from '../../src/db/examine.js';
import { knownMigrations } from '../../src/db/migrate.js';
import { createTestDatabase, useDatabase } from '../support/database.js';
import { startFakePostgres } from '../support/fakePostgres.js';

const database = useDatabase();
const user = `user_${randomUUID().replaceAll('-', '')}`;

beforeAll(async () => {
  await database.sql.query(`CREATE ROLE ${user} LOGIN PASSWORD 'right'`);
  database.closeLater({ close: () => database.sql.query(`DROP OWNED BY ${user}; DROP ROLE ${user}`).then(() => undefined) });
});

/** The URL of the file's database with some parts changed. */
function changed(
  parts: Partial<Pick<URL, 'username' | 'password' | 'pathname' | 'hostname' | 'port' | 'search'>>,
  url = database.url,
): string {
  return Object.assign(new URL(url), parts).href;
}

const { host: server } = new URL(process.env['TEST_TEMPLATE_URL'] ?? '');
const nameOf = (url: string) => new URL(url).pathname.slice(1);

async function portThatIsClosed(): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return String(port);
}

test('a database that can be used has no fault', async () => {
  await expect(examine(database.url)).resolves.toBeUndefined();
  await expect(examine(database.url, 'migrate')).resolves.toBeUndefined();
});

test('a wrong password and an unknown user have the same explanation, because Postgres does not disclose which it is', async () => {
  const sentence = (name: string) =>
    `Postgres at ${server} rejects the password of the user "${name}", or has no such user; ` +
    'correct the user and the password in DATABASE_URL.';
  await expect(examine(changed({ username: user, password: 'wrong' }))).resolves.toEqual({ sentence: sentence(user), mayPass: false });
  await expect(examine(changed({ username: 'nobody-here' }))).resolves.toEqual({ sentence: sentence('nobody-here'), mayPass: false });
});

test('a URL without a password says so', async () => {
  await expect(examine(changed({ password: '' }))).resolves.toEqual({
    sentence: `Postgres at ${server} requires a password for the user "onsale", and DATABASE_URL contains none.`,
    mayPass: false,
  });
});

test('a missing database is named', async () => {
  await expect(examine(changed({ pathname: '/nowhere' }))).resolves.toEqual({
    sentence: `Postgres at ${server} has no database "nowhere"; create it, or correct the database in DATABASE_URL.`,
    mayPass: false,
  });
});

test('a server that is down is named with host and port, and waited for', async () => {
  const port = await portThatIsClosed();
  await expect(examine(changed({ port }))).resolves.toEqual({
    sentence: `Nothing listens on 127.0.0.1:${port}; start Postgres there, or correct the host and the port in DATABASE_URL.`,
    mayPass: true,
  });
});

test('an unknown host is not waited for', async () => {
  const fault = await examine(changed({ hostname: 'no-such-host.invalid' }));
  // Where there is no name server at all, the name cannot be resolved at the moment, which is waited for.
  if (fault?.mayPass === true) expect(fault.sentence).toMatch(/^The name server does not answer for the host "no-such-host\.invalid"/);
  else expect(fault?.sentence).toMatch(/^The host "no-such-host\.invalid" of DATABASE_URL is unknown;/);
});

test('a server without TLS is explained to a URL that requires it', async () => {
  await expect(examine(changed({ search: '?sslmode=verify-full' }))).resolves.toEqual({
    sentence:
      `Postgres at ${server} does not offer TLS, which DATABASE_URL requires; ` +
      'switch it on there (ssl = on), or connect without it with sslmode=disable.',
    mayPass: false,
  });
});

test('a certificate file that does not exist is named', async () => {
  const fault = await examine(changed({ search: '?sslmode=verify-full&sslrootcert=/nowhere.pem' }));
  expect(fault?.sentence).toMatch(/^DATABASE_URL names a file that cannot be read: .*\/nowhere\.pem.*\.$/);
  expect(fault?.mayPass).toBe(false);
});

test('a user without privileges is given the statement that grants them', async () => {
  const url = changed({ username: user, password: 'right' });
  const fault = await examine(url);
  expect(fault?.sentence).toMatch(/^The user "\w+" lacks \w+ on \w+ and 12 other privileges; as the owner of the tables, run: GRANT .*\.$/);
  expect(fault?.mayPass).toBe(false);
  const [, grant] = /run: (GRANT .*)\.$/.exec(fault?.sentence ?? '') ?? [];
  await database.sql.query(grant!);
  await expect(examine(url)).resolves.toBeUndefined();
});

test('a user that may use no schema is not mistaken for a database without tables', async () => {
  const other = await createTestDatabase({ empty: true });
  try {
    await other.sql.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
    const fault = await examine(changed({ username: user, password: 'right' }, other.url));
    expect(fault?.sentence).toMatch(/^The user "\w+" may use no schema of the database "\w+"; as its owner, run: GRANT USAGE /);
    expect(fault?.mayPass).toBe(false);
  } finally {
    await other.sql.query(`DROP OWNED BY ${user}`);
    await other.drop();
  }
});

test('a schema that is not migrated is waited for by a replica; who migrates needs CREATE', async () => {
  const other = await createTestDatabase({ empty: true });
  try {
    const [oldest] = await knownMigrations();
    const fault = await examine(other.url);
    expect(fault?.sentence).toContain(`The database "${nameOf(other.url)}" at ${server} lacks ${oldest!} and `);
    expect(fault?.sentence).toContain('run "npm run db:migrate"');
    expect(fault?.mayPass).toBe(true);
    await expect(examine(other.url, 'migrate')).resolves.toBeUndefined();
    await expect(examine(changed({ username: user, password: 'right' }, other.url), 'migrate')).resolves.toEqual({
      sentence: `The user "${user}" may not create tables in the schema public; as its owner, run: GRANT CREATE ON SCHEMA public TO "${user}".`,
      mayPass: false,
    });
  } finally {
    await other.drop();
  }
});

test('a schema from which a later version removed something is not waited for', async () => {
  const name = '20990101000000_venue_contract';
  const record = `INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at) VALUES (gen_random_uuid(), '', $1, now())`;
  await database.sql.query(record, [name]);
  const fault = await examine(database.url);
  await database.sql.query('DELETE FROM _prisma_migrations WHERE migration_name = $1', [name]);
  expect(fault).toEqual({
    sentence: `The migration ${name} removed something that this version of onsale needs; start the version that it belongs to, or a newer one.`,
    mayPass: false,
  });
});

test('a read-only database is waited for', async () => {
  const other = await createTestDatabase();
  await other.sql.query(`ALTER DATABASE ${nameOf(other.url)} SET default_transaction_read_only = on`);
  await expect(examine(other.url)).resolves.toEqual({
    sentence: `Postgres at ${server} is read-only; if it is a standby, promote it or correct DATABASE_URL.`,
    mayPass: true,
  });
  await other.drop();
});

test('a version that is too old is named', async () => {
  const fake = await startFakePostgres({ row: { server_version: '14.13 (Debian)', readOnly: 'f' } });
  await expect(examine(fake.url)).resolves.toEqual({
    sentence: `Postgres at 127.0.0.1:${String(fake.port)} has version 14.13 (Debian); onsale needs version 15 or newer.`,
    mayPass: false,
  });
  await fake.close();
});

test.each([
  ['57P03', 'the database system is starting up', true, /does not accept connections at the moment: the database system is starting up\.$/],
  ['53300', 'sorry, too many clients already', true, /has no free connection: sorry, too many clients already;/],
  [
    '28000',
    'no pg_hba.conf entry for host "::1"',
    false,
    /does not admit the user "onsale" .* without TLS: no pg_hba\.conf entry .*verify-full/,
  ],
  [
    '42501',
    'permission denied for database "onsale"',
    false,
    /lacks a privilege in the database "onsale" at .*: permission denied .*; grant it\.$/,
  ],
  ['XX000', 'unexpected', false, /cannot be used: unexpected \(SQLSTATE XX000\)\.$/],
])('a refusal with the state %s (%s) is explained', async (state, message, mayPass, pattern) => {
  const fake = await startFakePostgres({ refusal: { state, message } });
  const fault = await examine(fake.url);
  await fake.close();
  expect(fault?.sentence).toMatch(pattern);
  expect(fault?.mayPass).toBe(mayPass);
});

test('a server that is no Postgres is explained', async () => {
  const web = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1');
  await once(web, 'listening');
  const fault = await examine(changed({ port: String((web.address() as AddressInfo).port) }));
  web.close();
  expect(fault?.sentence).toMatch(/^127\.0\.0\.1:\d+ (closes the connection|does not answer)/);
});
