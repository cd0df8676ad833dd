/** Goal: a lost database is never reported as "nothing happened" to a write that may have. Method: the handler, given faults. */
import { expect, test } from '@jest/globals';
import express from 'express';
import { pino } from 'pino';
import request from 'supertest';
import { errorHandler } from '../../src/http/middleware/errors.js';

function appThatThrows(error: unknown): express.Express {
  const app = express();
  app.use(() => {
    throw error;
  });
  app.use(errorHandler(pino({ level: 'silent' })));
  return app;
}

const lost = new Error('Connection terminated unexpectedly');
const notSent = new Error('timeout exceeded when trying to connect');

test.each([
  ['get', lost, 503, 'overloaded'],
  ['post', lost, 503, 'outcome-unknown'],
  ['patch', lost, 503, 'outcome-unknown'],
  ['post', notSent, 503, 'overloaded'],
  ['get', new Error('a bug in this service'), 500, 'internal-error'],
] as const)('%s with %s is answered %i %s', async (method, fault, status, code) => {
  const answer = await request(appThatThrows(fault))[method]('/');
  expect(answer.status).toBe(status);
  expect(answer.body).toMatchObject({ status, code });
});
