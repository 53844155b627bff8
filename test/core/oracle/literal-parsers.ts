/** More slow readers, for single fields and contents; as `literal-fields.ts`. */
import { type Line, linesOf, literalList } from './literal-fields.ts';
import { literalDictionary, type LiteralMember } from './literal-structured.ts';

/** Members of Vary in any line, lower-cased, sorted, each once (RFC 9110 §12.5.5). */
export function literalVary(lines: readonly string[]): readonly string[] | '*' {
  const names: string[] = [];
  for (const line of lines) {
    for (const member of literalList(line)) {
      const name = member.toLowerCase();
      if (name === '*') return '*';
      if (name !== '' && !names.includes(name)) names.push(name);
    }
  }
  return names.toSorted();
}

/** `whole`, `unsatisfiable`, or first and last byte (RFC 9110 §14.1.2, §14.2) of a Range with one range of bytes. */
export function literalRange(value: string, length: number): string {
  const halves = value.split('=');
  const [unit = '', ranges = ''] = halves;
  if (unit.toLowerCase() !== 'bytes' || halves.length !== 2) return 'whole';
  // Choice: one range only, and white space about it is passed over, as about a member of any list.
  const parts = stripped(ranges).split('-');
  const [first = '', last = ''] = parts;
  if (parts.length !== 2 || !isNumberOrEmpty(first) || !isNumberOrEmpty(last)) return 'whole';
  return first === '' ? suffixRange(last, length) : intRange(Number(first), last, length);
}

function intRange(first: number, last: string, length: number): string {
  if (last !== '' && Number(last) < first) return 'whole';
  if (first >= length) return 'unsatisfiable';
  return `${first}-${last === '' ? length - 1 : Math.min(Number(last), length - 1)}`;
}

function suffixRange(last: string, length: number): string {
  if (last === '') return 'whole';
  if (Number(last) === 0) return 'unsatisfiable';
  // Choice: no Content-Range can name the last bytes of nothing.
  return length === 0 ? 'whole' : `${Math.max(length - Number(last), 0)}-${length - 1}`;
}

function isNumberOrEmpty(text: string): boolean {
  return text.split('').every((char) => '0123456789'.includes(char));
}

function stripped(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && ' \t'.includes(text.charAt(start))) start += 1;
  while (end > start && ' \t'.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/**
 * Whether an If-None-Match names the tag (RFC 9110 §13.1.2, weak comparison §8.8.3.2). Choice: what has no quotes is a tag from
 * one separator to the next, since some upstreams send such.
 */
export function literalNoneMatch(list: string, etag: string): boolean {
  if (list === '*') return true;
  let position = 0;
  while (position < list.length) {
    const tag = quotedTag(list, position) ?? bareTag(list, position);
    if (tag !== '' && opaque(tag) === opaque(etag)) return true;
    position += Math.max(tag.length, 1);
  }
  return false;
}

/** `entity-tag` (RFC 9110 §8.8.3); `undefined` where it is none. Choice: spaces are taken for `etagc`, since some are sent. */
export function literalEntityTag(text: string): { readonly isWeak: boolean; readonly opaque: string } | undefined {
  const isWeak = text.startsWith('W/');
  const quoted = isWeak ? text.slice(2) : text;
  const inner = quoted.slice(1, -1);
  if (quoted.length < 2 || !quoted.startsWith('"') || !quoted.endsWith('"')) return undefined;
  if (inner.split('').some((char) => char < ' ' || char === '"' || char === '\u007f')) return undefined;
  return { isWeak, opaque: inner };
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

function quotedTag(list: string, position: number): string | undefined {
  const open = list.startsWith('W/"', position) ? position + 2 : position;
  if (list.charAt(open) !== '"') return undefined;
  const close = list.indexOf('"', open + 1);
  return close === -1 ? undefined : list.slice(position, close + 1);
}

function bareTag(list: string, position: number): string {
  let end = position;
  while (end < list.length && !/[\s,"]/.test(list.charAt(end))) end += 1;
  return list.slice(position, end);
}

/** What No-Vary-Search says, in words; `undefined` where it says nothing or is not valid. Names are plain in the cases. */
export function literalSearchRule(fields: readonly Line[]): string | undefined {
  const members = literalDictionary(linesOf(fields, 'no-vary-search'));
  if (members === undefined) return undefined;
  const order = members.get('key-order') ?? no;
  const counts = whatCounts(members.get('params') ?? no, members.get('except'));
  if (order.type !== 'boolean' || counts === undefined) return undefined;
  if (counts === 'all count' && !order.value) return undefined;
  return `${counts}; order ${order.value ? 'means nothing' : 'counts'}`;
}

const no = { type: 'boolean', value: false } as const;

function whatCounts(params: LiteralMember, except: LiteralMember | undefined): string | undefined {
  // `except` is what is left of `params=?1`, and of nothing else.
  if (params.type === 'boolean' && params.value) {
    const names = except === undefined ? [] : strings(except);
    return names && `only ${names.join(' ')}`;
  }
  if (except !== undefined) return undefined;
  if (params.type === 'boolean') return 'all count';
  const names = strings(params);
  return names && (names.length === 0 ? 'all count' : `all but ${names.join(' ')}`);
}

/** Of an Inner List of Strings, sorted, each once. */
function strings(member: LiteralMember): readonly string[] | undefined {
  if (member.type !== 'inner-list') return undefined;
  const values = new Set<string>();
  for (const item of member.items) {
    if (item.type !== 'string') return undefined;
    values.add(item.value);
  }
  return [...values].toSorted();
}
