/**
 * Goal: a build runs exactly when something changed or is incomplete, and one at a time.
 * Method: a small project in a temporary directory, and steps that write what the tools would.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { build } from '../../build.js';

let root: string;
const lock = () => join(root, 'node_modules', '.onsale-build.lock');

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'onsale-build-'));
  for (const path of ['src/server.ts', 'src/db/pool.ts', 'prisma/schema.prisma', 'package-lock.json', 'tsconfig.json'])
    await write(path, path);
});
afterEach(() => rm(root, { recursive: true }));

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

const done = { status: 0, output: '' };

/** Whether the compiler found its record of the build before. */
let incremental: boolean | undefined;
const outputs = ['dist/server.js', 'dist/db/pool.js', 'dist/.tsbuildinfo'];

const steps = {
  generate: { name: 'generate', run: () => ran('src/generated/prisma/client.ts') },
  compile: {
    name: 'compile',
    run: () => {
      incremental = existsSync(join(root, 'dist/.tsbuildinfo'));
      return ran(...outputs);
    },
  },
};

function ran(...paths: string[]) {
  for (const path of paths) {
    spawnSync('mkdir', ['-p', dirname(join(root, path))]);
    spawnSync('touch', [join(root, path)]);
  }
  return done;
}

const buildAgain = () => build(root, steps);

test('a fresh clone is generated and compiled, and then nothing is done', async () => {
  await expect(buildAgain()).resolves.toEqual(['generate', 'compile']);
  await expect(buildAgain()).resolves.toEqual([]);
  expect(existsSync(lock())).toBe(false);
});

test.each([
  ['a source changed', 'src/db/pool.ts', ['compile']],
  ['the settings of the compiler changed', 'tsconfig.json', ['compile']],
  ['the schema changed', 'prisma/schema.prisma', ['generate', 'compile']],
  ['the packages changed', 'package-lock.json', ['generate', 'compile']],
])('when %s, only what depends on it is built', async (_what, path, expected) => {
  await buildAgain();
  await write(path, 'changed');
  await expect(buildAgain()).resolves.toEqual(expected);
  expect(incremental).toBe(true);
  await expect(buildAgain()).resolves.toEqual([]);
});

test('a source with another time and the same content changes nothing', async () => {
  await buildAgain();
  await write('src/server.ts', 'src/server.ts');
  await expect(buildAgain()).resolves.toEqual([]);
});

test('a source that was removed, or added, is a change', async () => {
  await buildAgain();
  await rm(join(root, 'src/db/pool.ts'));
  await expect(buildAgain()).resolves.toEqual(['compile']);
  await write('src/db/pool.ts', 'again');
  await expect(buildAgain()).resolves.toEqual(['compile']);
});

test.each(['dist/db/pool.js', 'dist/.stamp', 'src/generated/prisma/client.ts'])(
  'when %s is missing, everything is compiled',
  async (path) => {
    await buildAgain();
    await rm(join(root, path));
    const names = await buildAgain();
    expect(names.at(-1)).toBe('compile');
    expect(incremental).toBe(false); // or the compiler would write only what changed
    expect(existsSync(join(root, path))).toBe(true);
  },
);

test('a step that fails is reported with its output, and repeated', async () => {
  const failing = { ...steps, compile: { name: 'compile', run: () => ({ status: 2, output: 'src/server.ts(1,1): error\n' }) } };
  await expect(build(root, failing)).rejects.toThrow('src/server.ts(1,1): error\ncompile failed.');
  expect(existsSync(lock())).toBe(false);
  await expect(buildAgain()).resolves.toEqual(['compile']); // the client was generated
  expect(incremental).toBe(false);
});

test('a source that changes during a build is compiled by the next', async () => {
  const changing = {
    ...steps,
    compile: {
      name: 'compile',
      run: () => {
        spawnSync('sh', ['-c', 'echo changed > "$0"', join(root, 'src/server.ts')]);
        return steps.compile.run();
      },
    },
  };
  await build(root, changing);
  await expect(buildAgain()).resolves.toEqual(['compile']);
});

test('a build waits for another that runs, whatever it leaves', async () => {
  await write('node_modules/.onsale-build.lock', String(process.ppid));
  let ended = false;
  const second = buildAgain().finally(() => (ended = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect([ended, existsSync(join(root, 'dist'))]).toEqual([false, false]);
  await rm(lock());
  await expect(second).resolves.toEqual(['generate', 'compile']);
});

test('two builds at once build once', async () => {
  const both = await Promise.all([buildAgain(), buildAgain()]);
  expect(both.flat()).toEqual(['generate', 'compile']);
});

test('the lock of a process that was killed does not hold up a build', async () => {
  const gone = spawnSync('true').pid;
  await write('node_modules/.onsale-build.lock', String(gone));
  await expect(buildAgain()).resolves.toEqual(['generate', 'compile']);
  expect(existsSync(lock())).toBe(false);
});

test('the start, the tests and the benchmark build the same way', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  const using = Object.values(scripts).filter((script) => /dist\/|jest|deploy\/|load\//.test(script));
  expect(using.length).toBeGreaterThan(5);
  for (const script of using) expect(script).toMatch(/^node build\.js && /);
});
