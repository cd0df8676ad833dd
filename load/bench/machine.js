// @ts-check
/** What the figures were measured on and with: a figure without these means nothing. */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem, type } from 'node:os';
import { wrkVersion } from './generator.js';
import { redisVersion } from './stage.js';

/**
 * @typedef {object} Machine
 * @property {string} cpu cores and model
 * @property {number} memoryGiB
 * @property {string} system
 * @property {string} node
 * @property {string} postgres
 * @property {string} fsync
 * @property {string} synchronousCommit
 * @property {string} generator
 * @property {string | undefined} redis undefined: not installed
 * @property {string} commit
 * @property {string} date
 */

/**
 * The short hash of the commit. Documents do not count as changes: the report itself writes two.
 *
 * @param {string} checkout
 */
export function commitOf(checkout) {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync('git', ['-C', checkout, ...args], { stdio: 'pipe' })
      .toString()
      .trim();
  try {
    const hash = git('rev-parse', '--short', 'HEAD');
    return git('status', '--porcelain', '--', '.', ':(exclude)*.md') === '' ? hash : `${hash} with uncommitted changes`;
  } catch {
    return 'unknown: not a git checkout';
  }
}

/**
 * @param {import('pg').Pool} sql
 * @param {string} checkout
 * @returns {Promise<Machine>}
 */
export async function describeMachine(sql, checkout) {
  const { rows } = await sql.query(
    `SELECT current_setting('server_version') AS postgres, current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync`,
  );
  const wrk = wrkVersion();
  return {
    cpu: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    postgres: rows[0].postgres,
    fsync: rows[0].fsync,
    synchronousCommit: rows[0].synchronous_commit,
    generator: wrk === undefined ? 'autocannon' : `wrk ${wrk}`,
    redis: redisVersion(),
    commit: commitOf(checkout),
    date: new Date().toISOString().slice(0, 10),
  };
}
