// @ts-check
/** A crowd that follows the answers: it asks at several replicas, and each does the next thing that follows from its answer. */
import { Agent, request } from 'node:http';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { token } from '../bench/stage.js';

const agent = new Agent({ keepAlive: true, maxSockets: 1_500 });

/** @typedef {{ status: number, body: Record<string, any> }} Answer */

/** @param {string} url @param {Record<string, string>} headers @param {string} [body] @returns {Promise<Answer>} */
function post(url, headers, body = '{}') {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, method: 'POST', headers: { 'Content-Type': 'application/json', ...headers } }, (response) => {
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }), reject);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

/** @param {string[]} addresses of the replicas, which are asked in turn */
export function crowdAt(addresses) {
  let turn = 0;
  const next = () => addresses[(turn += 1) % addresses.length];
  return {
    /** @param {string} eventId @param {object} wanted */
    buy: (eventId, wanted) => post(`${next()}/events/${eventId}/purchases`, {}, JSON.stringify(wanted)),
    /** @param {string} eventId @param {string} id */
    confirm: (eventId, id) => post(`${next()}/events/${eventId}/purchases/${id}/confirm`, { Authorization: `Bearer ${token}` }),
    close: () => agent.destroy(),
  };
}

/** This number of loops at once, until one of them says that all is done. @param {number} count @param {(stop: () => void) => Promise<void>} step */
export async function untilDone(count, step) {
  let done = false;
  const loop = async () => {
    while (!done) {
      await step(() => {
        done = true;
      });
    }
  };
  await Promise.all(Array.from({ length: count }, loop));
}

/**
 * Looks again and again while the work goes on. @template T @param {() => Promise<unknown>} look @param {Promise<T>} work
 * @returns {Promise<{ result: T, looks: number }>}
 */
export async function watched(look, work) {
  let [done, looks] = [false, 0];
  const watching = (async () => {
    for (; !done; looks += 1) {
      await look();
      await pause(100);
    }
  })();
  try {
    return { result: await Promise.race([work, watching.then(() => work)]), looks };
  } finally {
    done = true;
    await watching;
  }
}
