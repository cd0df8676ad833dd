// @ts-check
/**
 * One buyer hammers at his limit while others buy. The goodput of the others, as a fraction of what it is while the same number of
 * requests asks for an event that is sold out: for these, too, cost the replica their parsing and their answers.
 */
import autocannon from 'autocannon';
import { percentile } from '../bench/generator.js';
import { openStage } from '../bench/stage.js';

const [connections, seconds, rounds] = [96, 4, 5];
const json = { 'Content-Type': 'application/json' };

/** Buyers of two tickets, each with a name of its own. @param {string} address @param {string} eventId */
async function others(address, eventId) {
  const prefix = Math.random().toString(36).slice(2);
  let buyer = 0;
  const result = await autocannon({
    url: address,
    connections,
    duration: seconds,
    requests: [
      {
        method: 'POST',
        path: `/events/${eventId}/purchases`,
        headers: json,
        setupRequest: (made) => {
          buyer += 1;
          return { ...made, body: `{"quantity":2,"buyer_id":"${prefix}-${buyer}"}` };
        },
      },
    ],
  });
  if (result.errors > 0 || result.non2xx > 0) throw new Error(`others: ${result.errors} errors, ${result.non2xx} refused`);
  return result.requests.average;
}

/** @param {string} address @param {string} eventId @param {number} perSecond */
async function hammer(address, eventId, perSecond) {
  const result = await autocannon({
    url: address,
    connections: 20,
    duration: seconds,
    overallRate: perSecond,
    requests: [{ method: 'POST', path: `/events/${eventId}/purchases`, headers: json, body: '{"quantity":2,"buyer_id":"scalper"}' }],
  });
  if (result['2xx'] > 0) throw new Error(`the scalper bought ${result['2xx']} times more`);
  return result.requests.average;
}

/** @param {(line: string) => void} say */
export async function hammerAtLimit(say) {
  const stage = await openStage();
  try {
    const { address } = await stage.onsale();
    const eventId = await stage.makeEvent(address, { max_per_buyer: 4 });
    const soldOut = await stage.makeEvent(address, { total_quota: 1, max_per_buyer: 4 });
    for (const [id, quantity, times] of /** @type {[string, number, number][]} */ ([
      [eventId, 2, 2],
      [soldOut, 1, 1],
    ])) {
      for (let bought = 0; bought < times; bought += 1) {
        const body = JSON.stringify({ quantity, buyer_id: 'scalper' });
        const { status } = await fetch(`${address}/events/${id}/purchases`, { method: 'POST', headers: json, body });
        if (status !== 201) throw new Error(`the scalper could not begin: ${status}`);
      }
    }
    await others(address, eventId);
    for (const perSecond of [200, 2_000]) {
      /** @type {Record<string, number[]>} */
      const figures = { alone: [], 'beside requests for another event': [], 'beside the scalper': [], 'requests of the scalper': [] };
      for (let round = 0; round < rounds; round += 1) {
        figures['alone']?.push(await others(address, eventId));
        const [control] = await Promise.all([others(address, eventId), hammer(address, soldOut, perSecond)]);
        figures['beside requests for another event']?.push(control);
        const [goodput, sent] = await Promise.all([others(address, eventId), hammer(address, eventId, perSecond)]);
        figures['beside the scalper']?.push(goodput);
        figures['requests of the scalper']?.push(sent);
      }
      const median = (/** @type {string} */ what) => percentile(figures[what] ?? [], 0.5);
      say(`${perSecond} requests/s of one buyer at the limit; purchases/s of the others:`);
      for (const [what, all] of Object.entries(figures))
        say(`  ${what.padEnd(34)} ${median(what).toFixed(0)}  (${all.map((each) => each.toFixed(0)).join(', ')})`);
      say(`  scalper / another event: ${(median('beside the scalper') / median('beside requests for another event')).toFixed(2)}`);
    }
    await stage.books.onsale.audit([eventId, soldOut]);
  } finally {
    await stage.close();
  }
}
