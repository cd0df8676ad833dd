// @ts-check
/** Everything that is measured, by the names of load/README.md. */
import { holding, measure, measuresOf } from './measure.js';

/** In the order of their turns, which is that of the tables. */
export const names = /** @type {const} */ ([
  'nothing',
  'purchases',
  'holds',
  'confirms',
  'mix',
  'mix by unit',
  'plain',
  'one by one',
  'redis',
  'nothing reads',
  'plain reads',
  'reads',
  'sold out',
  'old event',
  'hundred events',
  'three replicas',
]);

/** @typedef {import('./measure.js').Stage} Stage */
/** @typedef {(typeof names)[number]} Name */
/** @typedef {(lastPerSecond: number | undefined) => Promise<number>} Run answers per second; it is passed those of the round before */

/** The programs, each with its own sale. @param {Stage} stage */
async function startPrograms(stage) {
  // Idle most of the time; what expires in the turn of another is not theirs to sweep.
  const sweepingRarely = { SWEEP_INTERVAL_MS: '3600000' };
  const onsale = await stage.onsale();
  const replicas = [await stage.onsale(sweepingRarely), await stage.onsale(sweepingRarely), await stage.onsale(sweepingRarely)];
  return {
    onsale: onsale.address,
    replicas: replicas.map(({ address }) => address),
    nothing: (await stage.contender('nothing')).address,
    plain: (await stage.contender('plain')).address,
    oneByOne: (await stage.contender('one-by-one')).address,
    oneRowPerUnit: (await stage.contender('one-row-per-unit')).address,
    redis: stage.hasRedis ? (await stage.contender('redis')).address : undefined,
  };
}

/** An event with one ticket, sold. @param {Stage} stage @param {string} address */
async function makeSoldOut(stage, address) {
  const eventId = await stage.makeEvent(address, { total_quota: 1 });
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`${address}/events/${eventId}/purchases`, { method: 'POST', headers, body: '{"quantity":1}' });
  if (answer.status !== 201) throw new Error(`the event was not sold out: ${await answer.text()}`);
  return eventId;
}

/**
 * @param {Stage} stage
 * @param {object} wanted
 * @param {string[] | undefined} wanted.only
 * @param {number} wanted.seconds of each run
 * @param {number} wanted.old tickets of the old event
 */
export async function openContenders(stage, { only, seconds, old }) {
  const { books } = stage;
  const addresses = await startPrograms(stage);
  const { onsale, nothing, plain, oneByOne, oneRowPerUnit, redis } = addresses;
  const { sell, confirm, mix } = measuresOf(stage, seconds);
  const event = () => stage.makeEvent(onsale);
  const holdingEvent = () => stage.makeEvent(onsale, holding);
  const anyEvent = await event();
  const manyEvents = await Promise.all(Array.from({ length: 100 }, event));
  const soldOut = await makeSoldOut(stage, onsale);
  const isWanted = (/** @type {Name} */ name) => (only?.includes(name) ?? true) && (name !== 'redis' || redis !== undefined);
  const oldEvent = isWanted('old event') ? await books.makeOldEvent(old) : '';

  /** Of a program that writes nothing into the books. @param {string} address @param {'purchases' | 'reads'} kind @param {string} [eventId] */
  const answers = async (address, kind, eventId = anyEvent) =>
    (await measure({ addresses: [address], kind, args: [eventId], seconds })).perSecond;

  /** @type {Record<Name, Run>} */
  const runs = {
    nothing: () => answers(nothing, 'purchases'),
    purchases: async () => sell([onsale], [await event()]),
    holds: async () => sell([onsale], [await holdingEvent()]),
    confirms: () => confirm(onsale),
    mix: async (last) => mix(books.onsale, onsale, await holdingEvent(), last),
    'mix by unit': async (last) =>
      mix(books.oneRowPerUnit, oneRowPerUnit, await books.makeUnitEvent(10_000_000, holding.hold_seconds), last),
    plain: () => answers(plain, 'purchases'),
    'one by one': async () => sell([oneByOne], [await event()]),
    redis: () => answers(redis ?? '', 'purchases'),
    'nothing reads': () => answers(nothing, 'reads'),
    'plain reads': () => answers(plain, 'reads'),
    reads: () => answers(onsale, 'reads'),
    'sold out': () => answers(onsale, 'purchases', soldOut),
    'old event': () => sell([onsale], [oldEvent]),
    'hundred events': () => sell([onsale], manyEvents),
    'three replicas': async () => sell(addresses.replicas, [await event()]),
  };
  return { onsale, oneByOne, contenders: names.filter(isWanted).map((name) => ({ name, run: runs[name] })) };
}
