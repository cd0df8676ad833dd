/** Clients who look at what is left, again and again, each on a connection of its own; and what they were shown. */
import { Agent, get } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { InsertedEvent } from '../support/events.js';

export interface Look {
  readonly reader: number;
  readonly eventId: string;
  readonly calledAtMs: number;
  readonly returnedAtMs: number;
  /** Undefined: no answer. */
  readonly status: number | undefined;
  readonly available: number | undefined;
}

export class Readers {
  readonly looks: Look[] = [];
  readonly #loops: Promise<void>[] = [];
  #leaving = false;

  constructor(
    private readonly address: string,
    private readonly choose: () => InsertedEvent,
  ) {}

  start(readers: number, thinkMs: number): this {
    for (let reader = 0; reader < readers; reader += 1) this.#loops.push(this.#lookAround(reader, thinkMs));
    return this;
  }

  async leave(): Promise<void> {
    this.#leaving = true;
    await Promise.all(this.#loops);
  }

  async #lookAround(reader: number, thinkMs: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!this.#leaving) {
      const eventId = this.choose().id;
      const calledAtMs = performance.now();
      const answer = await look(agent, `${this.address}/events/${eventId}`);
      this.looks.push({ reader, eventId, calledAtMs, returnedAtMs: performance.now(), ...answer });
      await pause(thinkMs);
    }
    agent.destroy();
  }

  /** Looks that showed their reader more than the one before had. Nothing comes back here: no event sells holds, and nothing is cancelled. */
  get backInTime(): Look[] {
    const last = new Map<string, number>();
    return this.looks.filter(({ reader, eventId, available }) => {
      if (available === undefined) return false;
      const key = `${String(reader)} ${eventId}`;
      const before = last.get(key) ?? Infinity;
      last.set(key, available);
      return available > before;
    });
  }
}

function look(agent: Agent, url: string): Promise<Pick<Look, 'status' | 'available'>> {
  return new Promise((resolve) => {
    const nothing = () => {
      resolve({ status: undefined, available: undefined });
    };
    const call = get(url, { agent, timeout: 10_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('error', nothing);
      response.once('end', () => {
        const body = JSON.parse(text) as { available_quantity?: number };
        resolve({ status: response.statusCode, available: body.available_quantity });
      });
    });
    call.once('timeout', () => call.destroy());
    call.once('error', nothing);
  });
}
