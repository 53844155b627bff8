import { type FieldLine, fieldLineValues, type FieldLines } from './fields.ts';

/**
 * What each call of ours says where its request has no Accept, which means the same (RFC 9110 §12.5.1): a request that says it itself and
 * one that says nothing are one question, and upstream is sent the same.
 */
export const anyAccept: FieldLine = ['accept', '*/*'];

/** The lines without an Accept that asks for nothing in particular. Nothing is copied where there is none. */
export function withoutAnyAccept(fields: FieldLines): FieldLines {
  const [name, value] = anyAccept;
  const lines = fieldLineValues(fields, name);
  return lines.length === 1 && lines[0] === value ? fields.filter((line) => line[0] !== name) : fields;
}
