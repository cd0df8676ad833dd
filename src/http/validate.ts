/** From what a client sent to what a handler may trust, or to a 400 that names the offending paths. */
import type { z } from 'zod';
import { Problem } from './problems.js';

export interface ValidationError {
  readonly in: 'body' | 'path' | 'query' | 'header';
  /** The member's path, dotted; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** Errors that one answer names: a body of nothing but mistakes must not cost many times what an honest one does. */
const errorsMax = 20;

/** @throws Problem `validation` */
export function validate<S extends z.ZodType>(schema: S, value: unknown, place: ValidationError['in'], name = ''): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.flatMap((issue) => describe(issue, place, name));
  throw invalid([...new Map(errors.reverse().map((error) => [error.path, error])).values()].reverse()); // the first of each path
}

export function invalid(errors: readonly ValidationError[]): Problem {
  const named = errors.slice(0, errorsMax);
  const sentences = named.map(({ path, message }) => (path === '' ? `The request ${message}.` : `${path} ${message}.`));
  if (named.length < errors.length) sentences.push('And more.');
  return new Problem('validation', sentences.join(' '), { members: { errors: named } });
}

function describe(issue: z.core.$ZodIssue, place: ValidationError['in'], name: string): ValidationError[] {
  const path = issue.path.length > 0 ? issue.path.map(String).join('.') : name;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, errorsMax + 1)
      .map((key) => ({ in: place, path: [...issue.path, key].map(String).join('.'), message: 'is not a known field' }));
  }
  if (issue.code === 'invalid_type' && issue.path.length === 0 && place === 'body') {
    return [{ in: place, path, message: 'must have a JSON object as its body' }];
  }
  return [{ in: place, path, message: issue.message }];
}
