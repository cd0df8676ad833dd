/** Converts a client's input to validated input, or to a 400 that names the invalid paths. */
import { z } from 'zod';
import { Problem } from '../contract/problems.js';

export interface ValidationError {
  readonly in: 'body' | 'path' | 'query' | 'header';
  /** The member's dotted path; empty for the whole input. */
  readonly path: string;
  readonly message: string;
}

/** Errors that one answer names. No more are collected, so that a body full of errors costs no more than a valid one. */
const errorsMax = 20;

/** @throws Problem `validation` */
export function validate<S extends z.ZodType>(schema: S, value: unknown, place: ValidationError['in'], name = ''): z.output<S> {
  const { known, unknown } = split(schema, value);
  const result = schema.safeParse(known);
  if (result.success && unknown.length === 0) return result.data;
  const errors = (result.error?.issues ?? []).map((issue) => describe(issue, place, name));
  const firstOfPath = [...new Map(errors.reverse().map((error) => [error.path, error])).values()].reverse();
  const message = place === 'query' ? 'is not a known parameter' : 'is not a known field';
  throw invalid([...firstOfPath, ...unknown.map((member) => ({ in: place, path: member, message }))]);
}

export function invalid(errors: readonly ValidationError[]): Problem {
  const named = errors.slice(0, errorsMax);
  const sentences = named.map(({ path, message }) => (path === '' ? `The request ${message}.` : `${path} ${message}.`));
  if (named.length < errors.length) sentences.push('And more.');
  return new Problem('validation', sentences.join(' '), { members: { errors: named } });
}

/**
 * Separates the members that an object schema does not know, because zod would list all of them, however many there are.
 *
 * @returns at most one unknown member more than an answer names
 */
function split(schema: z.ZodType, value: unknown): { readonly known: unknown; readonly unknown: readonly string[] } {
  const unknown: string[] = [];
  if (!(schema instanceof z.ZodObject) || typeof value !== 'object' || value === null || Array.isArray(value))
    return { known: value, unknown };
  for (const member in value) {
    if (Object.hasOwn(schema.shape, member)) continue;
    unknown.push(member);
    if (unknown.length > errorsMax) break;
  }
  if (unknown.length === 0) return { known: value, unknown };
  const members = Object.keys(schema.shape).filter((member) => Object.hasOwn(value, member));
  return { known: Object.fromEntries(members.map((member) => [member, value[member as keyof typeof value]])), unknown };
}

function describe(issue: z.core.$ZodIssue, place: ValidationError['in'], name: string): ValidationError {
  const path = issue.path.length > 0 ? issue.path.map(String).join('.') : name;
  if (issue.code === 'invalid_type' && issue.path.length === 0 && place === 'body') {
    return { in: place, path, message: 'must have a JSON object as its body' };
  }
  return { in: place, path, message: issue.message };
}
