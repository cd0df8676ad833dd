// @ts-check
/** The options of the benchmark. A benchmark takes minutes, so a wrong option is refused before anything starts. */
import { parseArgs } from 'node:util';

export const usage = `npm run bench -- [options]

  --rounds=3        measured rounds, after one to warm up
  --seconds=4       length of one run
  --only=a,b        only these, by the names of load/README.md; "all" is the default
  --old=5000000     tickets of the old event, up to 5,000,000: a multiple of 4
  --json            print the report for machines
  --report          write load/RESULTS.md, and the table of figures in the README
  --into=FOLDER     write them below another folder, which has a copy of the README
`;

/** Refused before anything has started. */
export class OptionsError extends Error {}

/**
 * @typedef {object} Options
 * @property {number} rounds
 * @property {number} seconds
 * @property {string[] | undefined} only undefined: all
 * @property {number} old
 * @property {boolean} json
 * @property {string | undefined} reportInto the folder to write the report into; undefined: print it
 * @property {boolean} help
 */

/** @param {string} name @param {string} text */
function countOf(name, text) {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new OptionsError(`--${name} must be a whole number above 0, not "${text}"`);
  return Number(text);
}

/** @param {string[]} args */
function parse(args) {
  try {
    return parseArgs({
      args,
      options: {
        rounds: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '4' },
        only: { type: 'string', default: 'all' },
        old: { type: 'string', default: '5000000' },
        json: { type: 'boolean', default: false },
        report: { type: 'boolean', default: false },
        into: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    throw new OptionsError(/** @type {Error} */ (error).message);
  }
}

/**
 * @param {string[]} args
 * @param {readonly string[]} names of all contenders
 * @param {string} checkout where a report goes by default
 * @returns {Options}
 * @throws {OptionsError}
 */
export function optionsOf(args, names, checkout) {
  const { only, json, report, into, help, ...counts } = parse(args);
  const chosen = only === 'all' ? undefined : only.split(',');
  const unknown = chosen?.filter((name) => !names.includes(name)) ?? [];
  if (unknown.length > 0) throw new OptionsError(`--only does not know "${unknown.join('", "')}"; it knows ${names.join(', ')}`);
  if (report && chosen) throw new OptionsError('--report writes the figures of one whole run; leave --only out');
  if (into !== undefined && !report) throw new OptionsError('--into is for --report');
  if (report && json) throw new OptionsError('--report and --json exclude each other');
  const [rounds, seconds, old] = [countOf('rounds', counts.rounds), countOf('seconds', counts.seconds), countOf('old', counts.old)];
  if (old % 4 !== 0 || old > 5_000_000) throw new OptionsError('--old must be a multiple of 4, and at most 5000000');
  return { rounds, seconds, only: chosen, old, json, reportInto: report ? (into ?? checkout) : undefined, help };
}
