/** What the descriptions of all operations are put together from. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { oneOf } from '../problemSchemas.js';
import { catalogue, type ProblemCode, problemType } from '../problems.js';
import * as schemas from '../schemas.js';
import { type Examples, only } from './examples.js';
import { type OwnExamples, problemExample, problemFor } from './problemExamples.js';

export const eventPath = z.object({ event_id: schemas.id });
export const purchasePath = z.object({ event_id: schemas.id, purchase_id: schemas.id });

const header = <S extends z.ZodType>(id: string, schema: S) => schema.meta({ header: { id } });

/** Of every answer. */
const standing = z.object({
  'X-Request-Id': header(
    'X-Request-Id',
    z
      .string()
      .meta({ description: "The request's X-Request-Id if it is up to 128 of the characters A-Z a-z 0-9 _ . : / + = @ -, or a new one" }),
  ),
  'Cache-Control': header('Cache-Control', z.literal('no-store')),
  'X-Content-Type-Options': header('X-Content-Type-Options', z.literal('nosniff')),
});

/**
 * Of every answer but probes and metrics, if the operator limits the requests of each client. Not components: generators of clients
 * overlook that a header which is a component can be missing.
 */
const rate = z.object({
  RateLimit: z.string().optional().meta({ description: 'Requests left to this client (IETF draft 8)' }),
  'RateLimit-Policy': z.string().optional().meta({ description: 'Requests allowed, and the window' }),
});

export const location = z.object({ Location: z.string().meta({ description: 'The path of what was created' }) });
export const unlimitedHeaders = z.object({ ...standing.shape });
export const answerHeaders = z.object({ ...standing.shape, ...rate.shape });

/** The headers of problems beside those of every answer. */
const problemHeaders: Readonly<Record<string, z.ZodType>> = {
  'Retry-After': z
    .string()
    .regex(/^[1-9]\d*$/)
    .meta({ description: 'Seconds to wait, before a random addition' }),
  'WWW-Authenticate': z.string().meta({ description: 'The scheme: Bearer' }),
};
/** Set by the middleware that counts the requests, and not by the problem. */
const headersByMiddleware: Partial<Record<ProblemCode, string[]>> = { 'rate-limited': ['Retry-After'] };

const json = <S extends z.ZodType>(schema: S, examples: Examples) => ({ content: { 'application/json': { schema, examples } } });

export const actionBody = { required: false, ...json(schemas.action, only('No parameters', {})) };
export const body = <S extends z.ZodType>(schema: S, examples: Examples) => ({
  requestBody: { required: true, ...json(schema, examples) },
});

export const ok = <S extends z.ZodType>(description: string, schema: S, examples: Examples, headers: z.ZodObject = answerHeaders) => ({
  '200': { description, headers, ...json(schema, examples) },
});
/** Of a probe: it is not limited. */
export const probed = <S extends z.ZodType>(description: string, schema: S, example: unknown) =>
  ok(description, schema, only(description, example), unlimitedHeaders);

export const text = (description: string, type: string, example: string | undefined, headers: z.ZodObject = answerHeaders) => ({
  '200': {
    description,
    headers,
    content: { [type]: { schema: z.string(), ...(example !== undefined && { examples: only(description, example) }) } },
  },
});
export const created = <S extends z.ZodType>(description: string, schema: S, examples: Examples, headers: z.ZodObject = location) => ({
  '201': { description, headers: answerHeaders.extend(headers.shape), ...json(schema, examples) },
});

/** The refusals that every operation shares. */
const anywhere = ['rate-limited', 'internal-error', 'overloaded'] as const;

/**
 * Refusals by status; each description names its codes.
 *
 * @param own examples that say more of this operation than the general ones
 */
export function refusals(codes: readonly ProblemCode[], own: OwnExamples = {}): ZodOpenApiResponsesObject {
  return problems([...codes, ...anywhere], answerHeaders, own);
}

/** Of a probe. */
export function probeRefusals(...codes: ProblemCode[]): ZodOpenApiResponsesObject {
  return problems([...codes, 'internal-error'], unlimitedHeaders, {});
}

function problems(codes: readonly ProblemCode[], headers: z.ZodObject, own: OwnExamples): ZodOpenApiResponsesObject {
  const statuses = [...new Set(codes.map((code) => catalogue[code].status))];
  const responses = statuses.map((status) => {
    const ofStatus = codes.filter((code) => catalogue[code].status === status);
    const response = {
      description: ofStatus.map((code) => `\`${code}\`: ${catalogue[code].title}`).join('; '),
      headers: headers.extend(headersOf(ofStatus, own)),
      content: {
        [problemType]: {
          schema: oneOf(ofStatus),
          examples: Object.fromEntries(ofStatus.map((code) => [code, problemExample(problemFor(code, own))])),
        },
      },
    };
    return [String(status), response];
  });
  return Object.fromEntries(responses) as ZodOpenApiResponsesObject;
}

/** A header is required if all problems of a status have it. */
function headersOf(codes: readonly ProblemCode[], own: OwnExamples): z.ZodRawShape {
  const names = codes.map((code) => [...Object.keys(problemFor(code, own).headers ?? {}), ...(headersByMiddleware[code] ?? [])]);
  const shape: Record<string, z.ZodType> = {};
  for (const name of new Set(names.flat())) {
    const schema = problemHeaders[name];
    if (schema === undefined) throw new Error(`the header ${name} of a problem is not described`);
    shape[name] = names.every((each) => each.includes(name)) ? schema : schema.optional();
  }
  return shape;
}

/** Of every operation with a body. */
export const withBody = ['validation', 'body-too-large', 'unsupported-media-type'] as const;
/** Of every action on a purchase. */
export const withAction = [...withBody, 'unauthorized', 'purchase-not-found', 'outcome-unknown'] as const;

/** @param id names the operation in generated clients @param description Markdown */
export function operation(
  id: string,
  summary: string,
  description: string,
  rest: Omit<ZodOpenApiOperationObject, 'operationId' | 'summary' | 'description'>,
): ZodOpenApiOperationObject {
  return { operationId: id, summary, description, ...rest };
}
