/**
 * The download of an event's valid tickets. However many there are, the replica holds one batch of them at a time, and reads the next
 * when the client has taken it.
 */
import type { IRouter, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import type { Pool, PrismaClient } from '../../db/client.js';
import { classify } from '../../db/faults.js';
import { readEvents } from '../../sql/readEvents.js';
import { streamTickets, type TicketRow } from '../../sql/streamTickets.js';
import { csvLine, ticketColumns } from '../contract/csv.js';
import type { Bounded } from '../middleware/bounded.js';
import { eventIdOf, found } from './params.js';
import { resource } from './resource.js';

const header = csvLine(ticketColumns);

export interface TicketsCsvDeps {
  /** Bounds the admin requests in progress. */
  readonly share: Bounded;
  /** Bounds the downloads in progress; each needs a connection of `exports` for as long as its client reads. */
  readonly exportsShare: Bounded;
  readonly admin: PrismaClient;
  readonly exports: Pick<Pool, 'withSession'>;
  /** The time that a client has to take a batch. */
  readonly batchTakenMs: number;
  readonly log: Pick<Logger, 'warn'>;
}

/** Mount it behind `requireAdmin`. */
export function ticketsCsv(router: IRouter, { share, exportsShare, admin, exports, batchTakenMs, log }: TicketsCsvDeps): void {
  const find: RequestHandler = async (req, res, next) => {
    const eventId = eventIdOf(req.params);
    found((await readEvents(admin, [eventId]))[0], eventId);
    if (req.method !== 'HEAD') {
      next();
      return;
    }
    writeHead(res, eventId);
    res.end();
  };

  const download: RequestHandler = async (req, res) => {
    const eventId = eventIdOf(req.params);
    try {
      await exports.withSession(async (session) => {
        const batches = await streamTickets(session, eventId);
        writeHead(res, eventId);
        await write(res, batches, batchTakenMs);
      });
      res.end();
    } catch (error) {
      if (error instanceof ClientGone) return;
      if (!res.headersSent) throw error;
      // A client of HTTP/1.0 sees the end of the answer in the end of the connection, so it must not be an orderly one.
      req.socket.resetAndDestroy();
      const reason = error instanceof ClientTooSlow ? error.message : classify(error).name;
      log.warn({ event_id: eventId, request_id: res.getHeader('X-Request-Id'), reason }, 'a download of tickets was cut off');
    }
  };

  resource(router, '/admin/events/:event_id/tickets.csv', { get: [share(find), exportsShare(download)] });
}

function writeHead(res: Response, eventId: string): void {
  res.setHeader('Content-Type', 'text/csv; charset=utf-8');
  res.setHeader('Content-Disposition', `attachment; filename="tickets-${eventId}.csv"`);
}

class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

class ClientTooSlow extends Error {
  override readonly name = 'ClientTooSlow';
}

/** @throws ClientGone, ClientTooSlow, or the error of a batch */
async function write(res: Response, batches: AsyncIterable<readonly TicketRow[]>, batchTakenMs: number): Promise<void> {
  res.write(header);
  for await (const batch of batches) {
    if (res.req.socket.destroyed) throw new ClientGone();
    if (!res.write(batch.map(csvLine).join(''))) await untilTaken(res, batchTakenMs);
  }
}

/**
 * Waits until the kernel has accepted what was written. The connection and not the answer tells when a client has gone, because Node
 * closes only the first answer of a connection.
 */
function untilTaken(res: Response, timeoutMs: number): Promise<void> {
  const { socket } = res.req;
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(timer);
      res.off('drain', taken);
      socket.off('close', gone);
      if (error) reject(error);
      else resolve();
    };
    const taken = () => {
      settle();
    };
    const gone = () => {
      settle(new ClientGone());
    };
    const timer = setTimeout(() => {
      settle(new ClientTooSlow(`the client took no batch for ${String(timeoutMs)} ms`));
    }, timeoutMs);
    res.once('drain', taken);
    socket.once('close', gone);
  });
}
