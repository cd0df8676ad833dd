/**
 * Goal: the style of this project is executable; what can be checked by a machine is not left to memory.
 * Method: the files themselves, read as text.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

function filesIn(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('src/generated/') && !path.includes('node_modules'))
    .sort();
}

const sources = filesIn('src', '.ts');
const scripts = [...filesIn('load', '.js'), ...filesIn('deploy', '.js')];

/** The local modules that a file imports, as paths from the root. */
function importsOf(path: string): string[] {
  return [...read(path).matchAll(/^(?:import|export)\s[^;]*?from '(\.[^']+)'/gms)].map(([, specifier]) =>
    relative(root, join(root, dirname(path), specifier!)).replace(/\.js$/, '.ts'),
  );
}

/** The rooms from left to right: each may import those to its right. */
const rooms = [
  'server',
  'greeting',
  'signals',
  'stopping',
  'replica',
  'http',
  'background',
  'observability',
  'sale',
  'sql',
  'db',
  'concurrency',
  'config',
];
/** What everything else is about; it imports nothing itself. */
const domainTypes = 'src/sale/types.ts';
const roomOf = (path: string) => path.split('/')[1]!.replace(/\.ts$/, '');

test('rooms import only what is to their right', () => {
  const backward = sources.flatMap((path) =>
    importsOf(path)
      .filter((target) => !target.startsWith('src/generated/') && target !== domainTypes)
      .filter((target) => rooms.indexOf(roomOf(target)) < rooms.indexOf(roomOf(path)))
      .map((target) => `${path} → ${target}`),
  );
  expect(sources.map(roomOf).every((room) => rooms.includes(room))).toBe(true);
  expect(backward).toEqual([]);
});

test.each([
  ['express', ['src/replica.ts', 'src/http/']],
  ['helmet', ['src/http/']],
  ['zod', ['src/config', 'src/http/']],
  ['zod-openapi', ['src/http/']],
  ['prom-client', ['src/observability/']],
  ['pg', ['src/db/']],
  ['@prisma/adapter-pg', ['src/db/']],
])('%s is known only in %j', (name, allowed) => {
  const elsewhere = sources.filter((path) => read(path).includes(`from '${name}'`) && !allowed.some((room) => path.startsWith(room)));
  expect(elsewhere).toEqual([]);
});

test('load/ and deploy/ use the program as it was built, never its sources', () => {
  expect(scripts.filter((path) => /from '[^']*\/src\//.test(read(path)))).toEqual([]);
});

test('admission and decide import no I/O, concurrency/ imports nothing of the sale, and the domain types import nothing', () => {
  expect(importsOf(domainTypes)).toEqual([]);
  for (const name of ['sale/admission', 'sale/throughput', 'sale/decide', 'concurrency/batcher']) {
    const specifiers = [...read(`src/${name}.ts`).matchAll(/^import (?!type)[^;]*from '([^']+)'/gm)].map(([, specifier]) => specifier);
    expect(specifiers.filter((specifier) => specifier !== './throughput.js' && specifier !== './types.js')).toEqual([]);
  }
});

const without = (pattern: RegExp, allowed: readonly string[]) =>
  sources.filter((path) => pattern.test(read(path)) && !allowed.includes(path));

test('the environment is read in config, the process ends and listens in server', () => {
  expect(without(/process\.env/, ['src/config.ts'])).toEqual([]);
  expect(without(/process\.exit/, ['src/server.ts'])).toEqual([]);
  expect(without(/\.listen\((?!0)/, ['src/server.ts', 'src/http/server/acceptors.ts'])).toEqual([]); // the latter on what server.ts listens on
});

test('statements on the tables of the sale are in sql/, and none is put together from strings', () => {
  const onTables = /\b(FROM|INTO|UPDATE|JOIN)\s+(events|purchases|tickets)\b/;
  expect(sources.filter((path) => onTables.test(read(path)) && !path.startsWith('src/sql/'))).toEqual([]);
  expect(without(/RawUnsafe|Prisma\.raw/, [])).toEqual([]);
});

test('every statement of sql/ on purchases and tickets names the event', () => {
  const statements = sources
    .filter((path) => path.startsWith('src/sql/') && path !== 'src/sql/listDueEvents.ts') // which looks for events, for the sweep
    .flatMap((path) => read(path).match(/\$queryRaw[^`]*`[^`]*`/g) ?? []);
  const reading = statements.filter((statement) => /FROM (purchases|tickets)/.test(statement));
  expect(reading.length).toBeGreaterThan(0);
  for (const statement of reading)
    expect(statement.match(/event_id = /g)?.length).toBeGreaterThanOrEqual(statement.match(/FROM (purchases|tickets)/g)!.length);
});

test('no source file has more than 250 lines, and no test more than 300', () => {
  const long = (paths: string[], max: number) => paths.filter((path) => read(path).split('\n').length > max);
  expect(long([...sources, ...scripts], 250)).toEqual([]);
  expect(long(filesIn('tests', '.ts'), 300)).toEqual([]);
});

test('no folder has a name that says nothing', () => {
  expect(sources.filter((path) => /\/(utils?|helpers?|common|services?|models?|misc)[/.]/.test(path))).toEqual([]);
});

test('every CHECK of the migrations has a comment', () => {
  const migrations = filesIn('prisma/migrations', '.sql').map(read).join('\n');
  const checks = [...migrations.matchAll(/CONSTRAINT (\w+) CHECK/g)].map(([, name]) => name);
  expect(checks.length).toBeGreaterThan(0);
  for (const name of checks) expect(migrations).toContain(`COMMENT ON CONSTRAINT ${String(name)} ON`);
});

test('a migration that takes something away says so in its name, because older replicas see nothing else of it', () => {
  // The same type with another collation takes nothing away.
  const takes =
    /\b(DROP (TABLE|COLUMN|TYPE|FUNCTION|TRIGGER|VIEW)|RENAME (TO|COLUMN)|SET NOT NULL|ALTER COLUMN \w+ (SET DATA )?TYPE)\b(?! text COLLATE)/i;
  const migrations = ['prisma/migrations', 'tests/replicas/nextVersion'].flatMap((folder) => filesIn(folder, '.sql'));
  const taking = migrations.filter((path) => takes.test(read(path).replaceAll(/--.*$/gm, '')));
  expect(taking).toEqual(migrations.filter((path) => dirname(path).endsWith('_contract')));
  expect(taking.length).toBeGreaterThan(0);
});

test('dependencies are pinned exactly', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read('package.json')) as Record<
    string,
    Record<string, string>
  >;
  for (const version of Object.values({ ...dependencies, ...devDependencies, ...optionalDependencies })) expect(version).toMatch(/^\d/);
});

test('the map of the README names files that exist, and the README fits on a few screens', () => {
  const readme = read('README.md');
  const [map] = /```\nprisma\/[^`]*```/.exec(readme) ?? [];
  const named = [...map!.matchAll(/[\w.-]+\.(?:ts|prisma|js)\b/g)].map(([name]) => name);
  const existing = new Set(
    [...sources, ...scripts, ...filesIn('tests', '.ts'), ...filesIn('load', '.ts'), ...filesIn('prisma', '.prisma')].map((path) =>
      path.split('/').at(-1),
    ),
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !existing.has(name))).toEqual([]);
  expect(readme.split('\n').length).toBeLessThanOrEqual(200);
});

test('the error catalogue is in the README, code by code and status by status', async () => {
  const { catalogue } = await import('../src/http/contract/problems.js');
  const listed = [...read('README.md').matchAll(/^\| (\d{3}) \| `([a-z-]+)` \|/gm)].map(([, status, code]) => [code, Number(status)]);
  expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(Object.entries(catalogue).map(([code, { status }]) => [code, status])));
});

test('the page for clients says what each refusal means', async () => {
  const { catalogue } = await import('../src/http/contract/problems.js');
  const clients = read('docs/clients.md');
  const explained = [...clients.slice(clients.indexOf('## What each refusal means')).matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \|/gm)];
  expect(explained.flatMap(([, codes]) => codes!.match(/[a-z-]+/g)).sort()).toEqual(Object.keys(catalogue).sort());
});

const pages = ['.', 'docs', 'deploy', 'load', 'tests']
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name)))
  .filter((path) => path.endsWith('.md'));
const prose = (path: string) => read(path).replaceAll(/^```[^]*?^```/gm, '');

/** As GitHub makes anchors of headings. */
const anchorsOf = (path: string) =>
  [...prose(path).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );

test('every link of a document leads to a file and a heading that exist', () => {
  const links = pages.flatMap((page) =>
    [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => ({ page, target: target! }))
      .filter(({ target }) => !/^https?:/.test(target)),
  );
  const broken = links.filter(({ page, target }) => {
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : join(dirname(page), path);
    return !existsSync(join(root, file)) || (anchor !== undefined && !anchorsOf(file).includes(anchor));
  });
  expect(links.length).toBeGreaterThan(40);
  expect(broken).toEqual([]);
});

/** A path is named from the root, from `src/`, or from the folder of the document. */
test('every file that a document names exists', () => {
  const named = pages
    .filter((page) => page !== 'CHANGELOG.md') // which names what there was
    .flatMap((page) =>
      [...prose(page).matchAll(/`((?:[\w.]+\/)+[\w./]*[\w/])(?:\.test)?`/g)].map(([text, path]) => ({ page, text, path: path! })),
    )
    .filter(({ path }) => /^(src|tests|docs|load|deploy|prisma)\/|\.(ts|js|md|yml|yaml|mjs)$/.test(path));
  expect(named.length).toBeGreaterThan(80);
  const exists = (page: string, path: string) =>
    [root, join(root, 'src'), join(root, dirname(page))].some((from) => existsSync(join(from, path)));
  expect(named.filter(({ page, path }) => !exists(page, path)).map(({ page, text }) => `${page}: ${text}`)).toEqual([]);
});

test('prose in documents ends before column 100', () => {
  const long = pages.flatMap((page) =>
    prose(page)
      .split('\n')
      .filter((line) => !line.startsWith('|') && line.length >= 100)
      .map((line) => `${page}: ${line}`),
  );
  expect(long).toEqual([]);
});

/** Words that were replaced, each by one of the project's table of words. Identifiers count too; a word that is part of another one does not. */
const retired: readonly (readonly [word: string, instead: string])[] = [
  ['careful path', 'locked path'],
  ['careful', 'locked'],
  ['with care', 'on the locked path'],
  ['straight', 'fast path'],
  ['sellBatch', 'sellFast or sellLocked'],
  ['sellStraight', 'sellFast'],
  ['sellCareful', 'sellLocked'],
  ['recallPurchases', 'readExisting'],
  ['GroupCommit', 'Batcher'],
  ['groupCommit', 'batcher'],
  ['groupCommitSale', 'batchedSale'],
  ['LINE_\\w+', 'IN_PROGRESS or QUEUE'],
  ['onsale_line\\w*', 'onsale_in_progress'],
  ['line full', 'in progress'],
  ['Pace', 'Throughput'],
  ['Onsale', 'Replica'],
  ['Door', 'Client'],
  ['[Dd]oors?', 'client'],
  ['pace', 'throughput'],
  ['told', 'answered, sent or reported'],
  ['of late', 'recent'],
  ['in line', 'queued or in progress'],
  ['so many', 'a number'],
  ['mistakes? of ours', 'a bug in this service'],
];

test('no file uses a word that was replaced', () => {
  const written = ['src', 'tests', 'deploy', 'load', 'docs'].flatMap((folder) => filesIn(folder, ''));
  const rootPages = readdirSync(root).filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md'); // which names what there was
  const found = [...written, ...rootPages]
    .filter((path) => path !== 'tests/tidy.test.ts')
    .flatMap((path) => {
      const text = read(path);
      return retired
        .filter(([word]) => new RegExp(`\\b(?:${word})\\b`).test(text))
        .map(([word, instead]) => `${path}: ${word}; say ${instead}`);
    });
  expect(found).toEqual([]);
});
