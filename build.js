// @ts-check
/**
 * Generates Prisma's client and compiles src/ to dist/, if anything changed since the last build: `node build.js`. It prints
 * only what a tool that failed has printed.
 *
 * A stamp in dist/ records the contents that were built; it is removed before a build and written after it, so that a build that
 * was interrupted is repeated. A lock lets one build run at a time; the others wait, and then find nothing to do.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** What the generated client depends on, and what else the compiled program does. */
const schemaInputs = ['prisma/schema.prisma', 'prisma.config.ts', 'package-lock.json', 'build.js'];
const compilerInputs = ['tsconfig.json', 'tsconfig.build.json', ...schemaInputs];
const generatedDir = 'src/generated';
const lockCheckEveryMs = 50;

/** @typedef {{ generated?: string, compiled?: string }} Stamp hashes of what was generated and compiled */
/** @typedef {{ name: string, run: () => { status: number | null, output: string } }} Step */

export class BuildError extends Error {}

/** The sources that are compiled and not generated, as paths from the root. @param {string} root */
function sources(root) {
  return readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
    .filter((path) => !path.startsWith(`${generatedDir}/`))
    .sort();
}

/** @param {string} root @param {readonly string[]} paths @returns a hash of names and contents; a missing file counts too */
function hashOf(root, paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const file = join(root, path);
    const content = existsSync(file) ? readFileSync(file) : Buffer.from('missing');
    hash.update(`${path}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** @param {string} root @returns {Required<Stamp>} what a build of the present sources would record */
export function stampOf(root) {
  return { generated: hashOf(root, schemaInputs), compiled: hashOf(root, [...compilerInputs, ...sources(root)]) };
}

const stampFile = (/** @type {string} */ root) => join(root, 'dist', '.stamp');

/** @param {string} root @returns {Stamp} empty after an interrupted build, or before the first */
function lastStamp(root) {
  try {
    return /** @type {Stamp} */ (JSON.parse(readFileSync(stampFile(root), 'utf8')));
  } catch {
    return {};
  }
}

/** @param {string} root @param {Stamp} stamp */
function record(root, stamp) {
  mkdirSync(join(root, 'dist'), { recursive: true });
  writeFileSync(`${stampFile(root)}.new`, JSON.stringify(stamp));
  renameSync(`${stampFile(root)}.new`, stampFile(root));
}

/** @param {string} root @returns {{ generated: boolean, compiled: boolean }} what is up to date and whole */
export function upToDate(root) {
  const [last, now] = [lastStamp(root), stampOf(root)];
  const generated = last.generated === now.generated && existsSync(join(root, generatedDir, 'prisma', 'client.ts'));
  const outputs = sources(root).map((path) => path.replace(/^src/, 'dist').replace(/\.ts$/, '.js'));
  const compiled = generated && last.compiled === now.compiled && outputs.every((path) => existsSync(join(root, path)));
  return { generated, compiled };
}

/**
 * @param {string} root
 * @param {{ generate: Step, compile: Step }} steps
 * @param {(line: string) => void} say before the first step, because a build takes seconds
 * @returns {Promise<string[]>} the names of the steps that ran
 * @throws BuildError with the output of the step that failed
 */
export async function build(root, { generate, compile }, say = () => undefined) {
  if (upToDate(root).compiled) return [];
  return withLock(join(root, 'node_modules', '.onsale-build.lock'), () => {
    const state = upToDate(root);
    if (state.compiled) return []; // by the build that was waited for
    say('Building, because something changed since the last build …');
    const { compiled: before } = lastStamp(root);
    const stamp = stampOf(root); // before the steps: what changes meanwhile is built the next time
    rmSync(stampFile(root), { force: true });
    // The compiler's record of the last build is trusted only if that build was complete and its output is still there.
    if (before === undefined || before === stamp.compiled) rmSync(join(root, 'dist', '.tsbuildinfo'), { force: true });
    const ran = [];
    if (!state.generated) {
      perform(generate);
      ran.push(generate.name);
    }
    record(root, { generated: stamp.generated });
    perform(compile);
    record(root, stamp);
    return [...ran, compile.name];
  });
}

/** @param {Step} step */
function perform({ name, run }) {
  const { status, output } = run();
  if (status !== 0) throw new BuildError(`${output.trim()}\n${name} failed.`);
}

/** @template T @param {string} path @param {() => T} work @returns {Promise<T>} */
async function withLock(path, work) {
  while (!takeLock(path)) await pause(lockCheckEveryMs);
  try {
    return work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** The lock names its process, so that one whose process was killed can be replaced. @param {string} path */
function takeLock(path) {
  const own = `${path}.${process.pid}`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, path); // unlike a file that is created and then filled, it is never seen empty
    return true;
  } catch {
    removeAbandoned(path, own);
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

/** @param {string} path @param {string} own a name that only this process uses */
function removeAbandoned(path, own) {
  if (isHeld(path)) return;
  const aside = `${own}.aside`;
  try {
    renameSync(path, aside);
    if (isHeld(aside)) linkSync(aside, path); // another process had replaced it meanwhile
  } catch {
    // Another process was faster.
  }
  rmSync(aside, { force: true });
}

/** @param {string} path */
function isHeld(path) {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}

/** @param {string} root @param {string} name @param {string} bin @param {string[]} args @returns {Step} */
function tool(root, name, bin, args) {
  // Prisma's command line would otherwise ask a server whether there is a newer version.
  const env = { ...process.env, CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1', NODE_OPTIONS: '' };
  return {
    name,
    run: () => {
      const { status, stdout, stderr, error } = spawnSync(process.execPath, [bin, ...args], { cwd: root, env, encoding: 'utf8' });
      return { status, output: error ? error.message : stdout + stderr };
    },
  };
}

async function main() {
  const root = fileURLToPath(new URL('.', import.meta.url));
  const require = createRequire(import.meta.url);
  const generate = tool(root, 'prisma generate', require.resolve('prisma/build/index.js'), ['generate', '--no-hints']);
  const compile = tool(root, 'tsc', require.resolve('typescript/bin/tsc'), ['-p', 'tsconfig.build.json']);
  await build(root, { generate, compile }, (line) => process.stderr.isTTY && process.stderr.write(`${line}\n`));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    process.stderr.write(`${error instanceof BuildError ? error.message : error.stack}\n`);
    process.exit(1);
  });
}
