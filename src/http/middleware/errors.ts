/** Answers every request that failed: each thrown error becomes one entry of the catalogue. */
import type { RequestListener } from 'node:http';
import type { ErrorRequestHandler, Express, Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { classify } from '../../db/faults.js';
import { prepareAnswer } from './everyAnswer.js';
import { catalogue, overloaded, Problem, sendProblem } from '../contract/problems.js';
import { bodyTooLarge, changeUnknown, internalError, nothingAt } from '../contract/requestProblems.js';
import type { Refusals } from '../server/refusals.js';
import { invalid } from './validate.js';

/** @param documented whether /openapi.json is served, so that the answer can refer to it */
export function notFound(documented: boolean): RequestHandler {
  return (req) => {
    throw nothingAt(req.path, documented);
  };
}

/**
 * Express recognises an error handler by its four parameters.
 *
 * @param refusals limits the rate of errors that a client can provoke; unset: every error is sent at once
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
    req.body = undefined; // a parsed body can be large, and the refusal may be delayed for seconds
    const send = () => {
      sendProblem(res, problem);
    };
    refusals.enqueue(res, send, problem.code === 'unauthorized' ? tokensOfUnauthorized : 1);
  };
}

/** A 401 after the verification of a token takes twice the processor time of another 4xx (the figures are in tokens/buyerTokens.ts). */
const tokensOfUnauthorized = 2;

/** Whether a client can provoke the error at will. Internal errors and answers to probes are sent at once. */
function isRefusal({ code }: Problem): boolean {
  return code === 'overloaded' || catalogue[code].status < 500;
}

/**
 * Wraps the application with a final handler. If Express cannot parse the request target (`http://[/`), it skips every layer,
 * the error handler included, and its default final handler answers in HTML.
 *
 * @param refusals as for `errorHandler`
 */
export function neverHtml(app: Express, log: Logger, refusals?: Pick<Refusals, 'enqueue'>): RequestListener {
  return (req, res) => {
    app(req as Request, res as Response, (error?: unknown) => {
      if (error !== undefined) log.error({ err: error, request_id: res.getHeader('X-Request-Id') }, 'could not send the answer');
      if (res.headersSent) {
        req.socket.destroy(); // part of an answer was sent, and the rest will never follow
        return;
      }
      prepareAnswer(req, res);
      const unreadable = () => {
        sendProblem(res, invalid([{ in: 'path', path: '', message: 'cannot be read' }]));
      };
      if (error !== undefined) sendProblem(res, internalError());
      else if (refusals) refusals.enqueue(res, unreadable);
      else unreadable();
    });
  };
}

/** The errors of body-parser and Express. */
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
      return new Problem('unsupported-media-type', 'Send the body as application/json in UTF-8, uncompressed.');
    default:
      if (status !== undefined && status >= 400 && status < 500) {
        return invalid([{ in: 'path', path: '', message: 'cannot be read' }]);
      }
  }
  const { transient, undone } = classify(error);
  if (transient && (undone || method === 'GET' || method === 'HEAD')) return overloaded('The database is not available.', 1);
  if (transient) return changeUnknown();
  return internalError();
}
