// @ts-check
/** One measured run of each kind. After each, the books must balance, or the run is void. */
import { closedLoop } from './generator.js';
import { token } from './stage.js';

export const connections = 256;
const warmUpSeconds = 1;
/** Holds made beforehand for the run that confirms them; a run that needs more is void. */
const confirmsPerSecondMax = 40_000;
export const holding = { hold_seconds: 3_600 };

/** @typedef {Awaited<ReturnType<typeof import('./stage.js').openStage>>} Stage */

/**
 * One measured run of a closed loop.
 *
 * @param {object} load
 * @param {string[]} load.addresses the connections are divided among them
 * @param {import('./generator.js').Load['kind']} load.kind
 * @param {string[]} load.args
 * @param {string[]} [load.warmUpArgs]
 * @param {number} load.seconds
 */
export async function measure({ addresses, kind, args, warmUpArgs = args, seconds }) {
  const each = Math.ceil(connections / addresses.length);
  const load = (/** @type {string[]} */ own, /** @type {number} */ forSeconds) =>
    Promise.all(addresses.map((address) => closedLoop({ address, kind, args: own, connections: each, seconds: forSeconds })));
  // Each has just been idle while the others had their turn: its caches are cold, its connections have not been used.
  await load(warmUpArgs, warmUpSeconds);
  const runs = await load(args, seconds);
  const refused = runs.reduce((sum, run) => sum + run.refused, 0);
  return { perSecond: runs.reduce((sum, run) => sum + run.perSecond, 0), refused };
}

/** @param {number} tickets in the books @param {number} answered */
function expectInBooks(tickets, answered) {
  // The generator stops with requests under way, which may be carried out and not counted as answered.
  if (tickets < answered * 0.97) throw new Error(`${answered} tickets were answered for, and ${tickets} are in the books`);
}

/** The runs that write. @param {Stage} stage @param {number} seconds of each run */
export function measuresOf({ books, makeEvent, writeIds }, seconds) {
  /** Sells, or holds where the events say so. @param {string[]} addresses @param {string[]} eventIds */
  async function sell(addresses, eventIds) {
    const before = await books.onsale.audit(eventIds);
    const { perSecond, refused } = await measure({ addresses, kind: 'purchases', args: eventIds, seconds });
    const after = await books.onsale.audit(eventIds);
    if (refused > 0) throw new Error(`${refused} purchases were refused`);
    expectInBooks(after.sold + after.held - before.sold - before.held, perSecond * seconds * 2);
    return perSecond;
  }

  /** Confirms holds that were made before, each once. @param {string} address */
  async function confirm(address) {
    const eventId = await makeEvent(address, holding);
    const inWarmUp = confirmsPerSecondMax * warmUpSeconds;
    const ids = await books.onsale.makeHolds(eventId, inWarmUp + confirmsPerSecondMax * seconds, { fromSeconds: 3_600, toSeconds: 3_600 });
    const argsOf = async (/** @type {string} */ name, /** @type {string[]} */ some) => [eventId, token, await writeIds(name, some)];
    const warmUpArgs = await argsOf('warm-up', ids.slice(0, inWarmUp));
    const args = await argsOf('run', ids.slice(inWarmUp));
    const { perSecond, refused } = await measure({ addresses: [address], kind: 'confirms', args, warmUpArgs, seconds });
    if (refused > 0) throw new Error(`${refused} confirmations were refused`);
    const { sold } = await books.onsale.audit([eventId]);
    expectInBooks(sold, perSecond * seconds * 2);
    return perSecond;
  }

  /**
   * Holds, of which two thirds are confirmed and a third is abandoned: of five answers, three are holds. Meanwhile holds that
   * were abandoned before expire, as many as are abandoned.
   *
   * @param {typeof books.onsale} own
   * @param {string} address
   * @param {string} eventId
   * @param {number | undefined} lastPerSecond what it came to in the round before
   */
  async function mix(own, address, eventId, lastPerSecond = 1_000) {
    const inAll = warmUpSeconds + seconds;
    await own.makeHolds(eventId, Math.ceil((lastPerSecond / 5) * inAll), { fromSeconds: 0, toSeconds: inAll });
    const before = await own.audit([eventId]);
    const { perSecond, refused } = await measure({ addresses: [address], kind: 'mix', args: [eventId, token], seconds });
    if (refused > 0) throw new Error(`${refused} holds or confirmations were refused`);
    await own.untilNoneIsDue(eventId);
    const after = await own.audit([eventId]);
    expectInBooks(after.sold, (perSecond * seconds * 2 * 2) / 5);
    const held = after.sold + after.held;
    if (after.sold > held * 0.67)
      throw new Error(`of ${held} tickets held in the run, ${after.sold} were confirmed (${before.held} were due)`);
    return perSecond;
  }

  return { sell, confirm, mix };
}
