/** The end of every request that went wrong: whatever was thrown becomes one entry of the catalogue. */
import type { RequestListener } from 'node:http';
import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { classify } from '../../db/faults.js';
import { prepareAnswer } from './everyAnswer.js';
import { bodyTooLarge } from './jsonBody.js';
import { catalogue, overloaded, Problem, retryAfter, sendProblem } from '../contract/problems.js';
import type { Refusals } from '../server/refusals.js';
import { invalid } from './validate.js';

/** @param documented whether there is an /openapi.json to point to */
export function notFound(documented: boolean): RequestHandler {
  return (req) => {
    throw new Problem('not-found', `There is nothing at ${req.path}${documented ? '; /openapi.json says what there is' : ''}.`);
  };
}

/**
 * Express knows an error handler by its four parameters.
 *
 * @param refusals where errors that a client can provoke wait their turn; unset, every error is sent at once
 */
export function errorHandler(log: Logger, refusals?: Pick<Refusals, 'enqueue'>): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const problem = toProblem(error, req.method);
    if (problem.code === 'internal-error') log.error({ err: error, request_id: res.getHeader('X-Request-Id') }, 'internal error');
    if (refusals === undefined || !isRefusal(problem)) {
      sendProblem(res, problem);
      return;
    }
    req.body = undefined; // a parsed body can be large, and the refusal may wait for seconds
    refusals.enqueue(res, () => {
      sendProblem(res, problem);
    });
  };
}

/** Errors that a client can provoke at will. Faults of this service and answers to probes are sent at once. */
function isRefusal({ code }: Problem): boolean {
  return code === 'overloaded' || catalogue[code].status < 500;
}

/**
 * The application with an end of its own. Express skips every layer when it cannot parse the target (`http://[/`), the
 * error handler included, and its default end answers in HTML.
 *
 * @param refusals as of `errorHandler`
 */
export function neverHtml(app: Express, log: Logger, refusals?: Pick<Refusals, 'enqueue'>): RequestListener {
  return (req, res) => {
    app(req as Request, res as Response, (error?: unknown) => {
      if (error !== undefined) log.error({ err: error, request_id: res.getHeader('X-Request-Id') }, 'the answer failed');
      if (res.headersSent) {
        req.socket.destroy(); // part of an answer is on its way, and the rest will never come
        return;
      }
      prepareAnswer(req, res);
      const unreadable = () => {
        sendProblem(res, invalid([{ in: 'path', path: '', message: 'cannot be read' }]));
      };
      if (error !== undefined) sendProblem(res, internalError);
      else if (refusals) refusals.enqueue(res, unreadable);
      else unreadable();
    });
  };
}

const internalError = new Problem('internal-error', 'The fault was logged under this request id.');

/** What body-parser and Express call their refusals. */
interface HttpError {
  readonly type?: string;
  readonly status?: number;
  readonly limit?: number;
}

function toProblem(error: unknown, method: string): Problem {
  if (error instanceof Problem) return error;
  const { type, status, limit = 0 } = error as HttpError;
  switch (type) {
    case 'entity.too.large':
      return bodyTooLarge(limit);
    case 'encoding.unsupported':
    case 'charset.unsupported':
      return new Problem('unsupported-media-type', 'Send the body as application/json in UTF-8, and not compressed.');
    default:
      if (status !== undefined && status >= 400 && status < 500) {
        return invalid([{ in: 'path', path: '', message: 'cannot be read' }]);
      }
  }
  const { transient, undone } = classify(error);
  if (transient && (undone || method === 'GET' || method === 'HEAD')) return overloaded('The database does not answer at the moment.', 1);
  if (transient) {
    return new Problem('outcome-unknown', 'The database went away: look before you send this again.', { headers: retryAfter(1) });
  }
  return internalError;
}
