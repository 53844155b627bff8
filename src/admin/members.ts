import { ok, refused, type Problem, type Result } from '../core/problem.ts';
import { invalidBody, type JsonObject } from './read-body.ts';

const maxTextLength = 8192;

/** Items of a list at most, given or answered. */
export const maxItems = 1000;

/** The 400 for a body with a member that the call does not know. */
export function unknownMember(body: JsonObject, known: readonly string[]): Problem | undefined {
  const name = Object.keys(body).find((member) => !known.includes(member));
  return name === undefined
    ? undefined
    : invalidBody(`There is no member ${JSON.stringify(name.slice(0, 40))}; there are ${known.join(', ')}.`);
}

/** A boolean that is false where it is absent. */
export function flag(body: JsonObject, name: string): Result<boolean> {
  const value = body[name] ?? false;
  return typeof value === 'boolean' ? ok(value) : refused(invalidBody(`${name} must be true or false.`, name));
}

export function notText(name: string): Problem {
  return invalidBody(`${name} must be a text of 1 to ${maxTextLength} characters, none of them a control.`, name);
}

export function notTextList(name: string): Problem {
  return invalidBody(`${name} must be a list of 1 to ${maxItems} texts.`, name);
}

/** `undefined` where it is not a list of 1 to {@link maxItems} texts. */
export function textList(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > maxItems) return undefined;
  const items = value.filter(isText);
  return items.length === value.length ? items : undefined;
}

/** Not empty, not endless, well-formed Unicode without controls. */
export function isText(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > maxTextLength) return false;
  // oxlint-disable-next-line no-control-regex -- it is there to refuse them
  return value.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f]/.test(value);
}
