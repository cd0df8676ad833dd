/** Later versions of the program: what was built here, with migrations that it does not know, and SQL that goes with them. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const nextVersion = 'tests/replicas/nextVersion';
const migrateTimeoutMs = 30_000;

/** @param endings of the migrations that it brings @returns where it is */
export async function makeVersion(...endings: readonly string[]): Promise<string> {
  const checkout = await mkdtemp(join(process.env['FAULT_DIR']!, 'version-'));
  await Promise.all(['dist', 'prisma/migrations', 'package.json'].map((path) => cp(path, join(checkout, path), { recursive: true })));
  await symlink(resolve('node_modules'), join(checkout, 'node_modules'));
  for (const name of await readdir(nextVersion)) {
    if (endings.some((ending) => name.endsWith(ending)))
      await cp(join(nextVersion, name), join(checkout, 'prisma/migrations', name), { recursive: true });
  }
  const statements = (await readdir(join(checkout, 'dist/sql'))).filter((name) => name.endsWith('.js'));
  await Promise.all(
    statements.map(async (name) => {
      const path = join(checkout, 'dist/sql', name);
      await writeFile(path, (await readFile(path, 'utf8')).replaceAll('request_fingerprint', 'request'));
    }),
  );
  return checkout;
}

/** As its migration job would. @returns what it says */
export async function migrateWith(checkout: string, url: string): Promise<string> {
  const env = { ...process.env, DATABASE_URL: url, NODE_OPTIONS: '' };
  const options = { cwd: checkout, env, timeout: migrateTimeoutMs };
  const { stdout } = await promisify(execFile)(process.execPath, ['dist/server.js', 'migrate'], options);
  return stdout.trim();
}
