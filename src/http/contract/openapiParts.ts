/** What the descriptions of all operations share. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { catalogue, type ProblemCode } from './problems.js';
import * as schemas from './schemas.js';

export const eventPath = z.object({ event_id: schemas.id });
export const purchasePath = z.object({ event_id: schemas.id, purchase_id: schemas.id });
export const location = z.object({ Location: z.string() });
/** Extra headers of a refusal, by status. */
const refusalHeaders: Readonly<Record<string, z.ZodObject>> = {
  '401': z.object({ 'WWW-Authenticate': z.string() }),
  '429': z.object({ 'Retry-After': z.string().meta({ description: 'Seconds' }) }),
  '503': z.object({ 'Retry-After': z.string().meta({ description: 'Seconds' }) }),
};

const json = <S extends z.ZodType>(schema: S) => ({ content: { 'application/json': { schema } } });
export const actionBody = { required: false, ...json(schemas.action) };
export const body = <S extends z.ZodType>(schema: S) => ({ requestBody: { required: true, ...json(schema) } });
export const ok = <S extends z.ZodType>(description: string, schema: S) => ({ '200': { description, ...json(schema) } });
export const text = (description: string, type: string) => ({ '200': { description, content: { [type]: { schema: z.string() } } } });
export const created = <S extends z.ZodType>(description: string, schema: S, headers: z.ZodObject = location) => ({
  '201': { description, headers, ...json(schema) },
});

/** Refusals by status; each description names its codes. */
export function refusals(...codes: ProblemCode[]): ZodOpenApiResponsesObject {
  const responses: ZodOpenApiResponsesObject = {};
  for (const code of [...codes, 'rate-limited', 'internal-error', 'overloaded'] as const) {
    const status = String(catalogue[code].status) as '400';
    const summary = `\`${code}\`: ${catalogue[code].title}`;
    const existing = responses[status] as { description: string } | undefined;
    responses[status] = {
      description: existing ? `${existing.description}; ${summary}` : summary,
      content: { 'application/problem+json': { schema: schemas.problem } },
      ...(refusalHeaders[status] && { headers: refusalHeaders[status] }),
    };
  }
  return responses;
}

/** Of every action on a purchase. */
export const withAction = [
  'validation',
  'body-too-large',
  'unsupported-media-type',
  'unauthorized',
  'purchase-not-found',
  'outcome-unknown',
] as const;
export const withBody = ['validation', 'body-too-large', 'unsupported-media-type'] as const;

export function operation(summary: string, rest: Omit<ZodOpenApiOperationObject, 'summary'>): ZodOpenApiOperationObject {
  return { summary, ...rest };
}
