import { fieldValue, type FieldLines } from './fields.ts';

const decimal = /^[0-9]{1,15}$/;

/** How many more may forward an OPTIONS (RFC 9110 §7.6.2); `undefined`: any number. Of other methods it says nothing. */
export function forwardsLeft(method: string, fields: FieldLines): number | undefined {
  if (method !== 'OPTIONS') return undefined;
  const value = fieldValue(fields, 'max-forwards');
  return value !== undefined && decimal.test(value) ? Number(value) : undefined;
}

/** The lines as they are forwarded, with one less to go. */
export function withOneForwardLess(method: string, fields: FieldLines): FieldLines {
  const left = forwardsLeft(method, fields);
  if (left === undefined) return fields;
  return fields.map((line) => (line[0] === 'max-forwards' ? ['max-forwards', String(Math.max(0, left - 1))] : line));
}
