/**
 * The access log: one JSON line per request, when its answer is finished or its connection is closed. It never holds a secret: an id of
 * a purchase gives access to that purchase, and a query may hold a buyer's id.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { destination, type Logger, pino } from 'pino';

export interface AccessLog {
  /** Logs each request that the listener gets. @param addressOf the client's address, behind the trusted proxies */
  wrap(listener: RequestListener, addressOf: (req: IncomingMessage) => string | undefined): RequestListener;
  /** Writes what is still buffered. */
  close(): void;
}

/** A write for each line would take longer than the rest of it. */
const bufferedBytes = 8 * 1_024;
const flushEveryMs = 500;
const pathCharactersMax = 200;

/** @param path of the file to append to; unset: the standard output, as the rest of the log */
export function openAccessLog(path?: string): AccessLog {
  const out = destination({ dest: path ?? 1, minLength: bufferedBytes, sync: true });
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, out);
  const timer = setInterval(() => {
    out.flush();
  }, flushEveryMs);
  timer.unref();
  return {
    wrap: (listener, addressOf) => (req, res) => {
      watch(req, res, addressOf(req), log);
      listener(req, res);
    },
    close: () => {
      clearInterval(timer);
      out.flushSync();
    },
  };
}

/** The connection is watched too, because Node closes only the first answer of a connection. */
function watch(req: IncomingMessage, res: ServerResponse, address: string | undefined, log: Logger): void {
  const beganAtMs = performance.now();
  const { method, url = '', socket } = req;
  let ended = false;
  const end = () => {
    if (ended) return; // both events come together when the connection closes
    ended = true;
    res.off('close', end);
    socket.off('close', end);
    log.info(
      {
        method,
        path: pathWithoutSecrets(url),
        status: res.headersSent ? res.statusCode : null,
        complete: res.writableFinished,
        duration_ms: Math.round((performance.now() - beganAtMs) * 10) / 10,
        request_id: res.getHeader('X-Request-Id'),
        address,
      },
      'request',
    );
  };
  res.once('close', end);
  socket.once('close', end);
}

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const anyUuid = new RegExp(uuid, 'gi');
/** The documented place of an event's id; an absolute URL may begin the target. */
const eventId = new RegExp(`^(?:[a-z]+:[/\\\\]+[^/\\\\]*)?[/\\\\]*(?:admin[/\\\\]+)?events[/\\\\]+${uuid}`, 'i');
const afterPurchases = /(purchases[/\\]+)[^/\\]+/gi;
const unusual = /[%\\]/;

/**
 * The path of a request target, without its query. Whatever follows `purchases` is replaced, and every UUID but that of the event,
 * because the router accepts many spellings of a path, and a client may have misspelt it.
 */
export function pathWithoutSecrets(target: string): string {
  const raw = target.slice(0, indexOfEnd(target));
  const path = (unusual.test(raw) ? decoded(raw) : raw).replace(afterPurchases, '$1{purchase_id}');
  const [event = ''] = eventId.exec(path) ?? [];
  const rest = path.slice(event.length).replace(anyUuid, '{id}');
  return (event + rest).slice(0, pathCharactersMax);
}

function indexOfEnd(target: string): number {
  const end = target.search(/[?#]/);
  return end === -1 ? target.length : end;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return '{unreadable}';
  }
}
