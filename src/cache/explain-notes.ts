import { clientDirectives, type ClientDirectives } from '../core/client-directives.ts';
import { parseCacheControl } from '../core/cache-control.ts';
import { decideOnFailure, decideOnSoftTimeout, type FailureDecision } from '../core/failure-policy.ts';
import { fieldLineValues, hasField } from '../core/fields.ts';
import { hasMarks } from '../core/loop-marks.ts';
import { answerReasons, clientDirectiveSections } from '../core/reasons.ts';
import { baseKeyOf } from '../core/vary.ts';
import { codingNotes, interimNotes, withoutCodings } from './explain-fields.ts';
import type { OnFailure } from './explain-fallback.ts';
import type { Usable } from './explain-parts.ts';
import type { ExplainedNote, ExplainedTopic } from './explained-http.ts';
import { searchSource, searchWords } from './explain-search.ts';
import { ownRequestOf } from './own-request.ts';
import type { Sha256 } from './ports.ts';
import type { Ask } from './respond.ts';
import { variantKeyOf } from './store-fill.ts';

/** A request that is looked up, and what was found. */
export interface Asked {
  readonly ask: Ask;
  readonly found: Usable;
  readonly onFailure: OnFailure;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
  /** The status that the client would be sent from store; `undefined` where upstream is asked first. */
  readonly status: number | undefined;
}

/** What of the request itself counts, and what becomes of it where it does not come from store. */
export function requestNotes(sha256: Sha256, asked: Asked): readonly ExplainedNote[] {
  return [
    ...clientNotes(asked.ask),
    ...methodNotes(asked),
    ...conditionNotes(asked),
    ...rangeNotes(asked),
    ...storedCodingNotes(asked),
    ...varyNotes(sha256, asked),
    ...queryNotes(asked.ask),
    ...softTimeoutNotes(asked),
    ...failureNotes(asked),
    ...(asked.status === undefined ? interimNotes(asked.ask.route, false) : []),
  ];
}

function note(topic: ExplainedTopic, text: string): ExplainedNote {
  return { topic, text };
}

/** Directives whose argument has to be delta-seconds, by the member that says what counts of it. */
const timed: ReadonlyMap<string, keyof ClientDirectives> = new Map([
  ['max-age', 'maxAgeMs'],
  ['min-fresh', 'minFreshMs'],
  ['max-stale', 'maxStaleMs'],
  ['stale-if-error', 'staleIfErrorMs'],
]);

/** Which of the request's directives count. */
export function clientNotes({ route: { policy }, requestFields }: Ask): readonly ExplainedNote[] {
  const lines = fieldLineValues(requestFields, 'cache-control');
  const given = parseCacheControl(lines);
  const counted = clientDirectives(policy, requestFields);
  const isHeeded = clientDirectives(policy, [['cache-control', 'no-cache']]).noCache;
  const notes = Array.from(given, ([name, argument]) => {
    const directive = argument === true ? name : `${name}=${argument}`;
    const section = clientDirectiveSections.get(name);
    if (section === undefined) return note('client', `${name} is not known here and ignored (RFC 9111 §5.2.3)`);
    if (name === 'no-transform' && policy.upstreamCacheControl !== 'honour')
      return note('client', `${directive} does not count: ${withoutCodings} (${section})`);
    if (!isHeeded)
      return note('client', `${directive} does not count: the route ignores it (clientCacheControl; ${section})`);
    const member = timed.get(name);
    const isVoid = member !== undefined && counted[member] === undefined;
    if (isVoid) return note('client', `${directive} does not count: it is no delta-seconds (RFC 9111 §1.2.2)`);
    return note('client', `${directive} counts (${section})`);
  });
  const pragma = hasField(requestFields, 'pragma');
  return pragma ? [...notes, note('client', 'Pragma counts nowhere (RFC 9111 §5.4)')] : notes;
}

function methodNotes({ ask, status }: Asked): readonly ExplainedNote[] {
  const { route, keyed, head } = ask;
  if (head) {
    if (status !== undefined)
      return [
        note('method', 'HEAD is answered with the fields of the stored response to GET (RFC 9111 §4, RFC 9110 §9.3.2)'),
      ];
    return route.policy.upstreamCacheControl === 'honour'
      ? [
          note(
            'method',
            'HEAD goes upstream as it is; its answer is not stored, and freshens or drops the stored response to GET (RFC 9111 §4.3.5)',
          ),
        ]
      : [note('method', 'HEAD is answered from what a GET fetches (RFC 9110 §9.3.2)')];
  }
  switch (keyed.canonical.method) {
    case 'QUERY':
      return [note('method', 'QUERY is safe, and its content is part of the key (RFC 10008 §2.7)')];
    case 'POST':
      return [
        note(
          'method',
          'the route takes this POST for a query: its content is part of the key, and its answer needs a lifetime (RFC 9110 §9.3.3)',
        ),
      ];
    case 'GET':
    case 'HEAD':
      return [];
  }
}

const conditions = [
  ['if-none-match', 'If-None-Match', 'RFC 9110 §13.1.2'],
  ['if-modified-since', 'If-Modified-Since', 'RFC 9110 §13.1.3'],
] as const;

/** If-None-Match wins over If-Modified-Since (RFC 9110 §13.2.2). */
function conditionNotes(asked: Asked): readonly ExplainedNote[] {
  const present = conditions.find(([name]) => hasField(asked.ask.requestFields, name));
  if (present === undefined) return [];
  const [name, shown, section] = present;
  if (asked.status !== undefined) {
    const answer =
      asked.status === 304 ? 'does not hold: answered 304 from store' : 'holds: answered in full from store';
    return [note('condition', `${shown} ${answer} (${section}, RFC 9111 §4.3.2)`)];
  }
  const text = goesUpstream(asked, name)
    ? 'goes upstream as it is, since nothing is stored that could answer it'
    : 'is not sent upstream: it is evaluated against what comes from there';
  return [note('condition', `${shown} ${text} (${section}, RFC 9111 §4.3.2)`)];
}

function rangeNotes(asked: Asked): readonly ExplainedNote[] {
  if (!hasField(asked.ask.requestFields, 'range')) return [];
  return [note('range', rangeText(asked))];
}

function storedCodingNotes({ ask, found, status }: Asked): readonly ExplainedNote[] {
  const item = found.read?.item;
  const isSent = status !== undefined && status !== 304 && item !== undefined && item.body.length > 0;
  return isSent ? codingNotes(ask, item.fields) : [];
}

function rangeText(asked: Asked): string {
  switch (asked.status) {
    case undefined:
      return goesUpstream(asked, 'range')
        ? 'Range goes upstream as it is, since nothing is stored that it could be cut from; a 206 is passed on and not stored (RFC 9110 §14.2, RFC 9111 §3.3)'
        : 'Range is not sent upstream: the whole is fetched, and the part cut from it (RFC 9110 §14.2)';
    case 206:
      return 'Range is cut from what is stored: 206 (RFC 9110 §14.2, §15.3.7)';
    case 416:
      return 'Range asks for nothing that there is: 416 (RFC 9110 §14.2, §15.5.17)';
    case 304:
      return 'Range does not count, since the answer is 304 (RFC 9110 §13.2.2)';
    default:
      return 'Range is ignored: a HEAD, no single range of bytes, no stored 200, or an If-Range that does not hold (RFC 9110 §14.2, §13.1.5)';
  }
}

function goesUpstream({ ask, found }: Asked, name: string): boolean {
  const own = ownRequestOf(ask, found.read !== undefined);
  return own !== undefined && own.conditions.some((line) => line[0] === name);
}

function varyNotes(sha256: Sha256, { ask, found }: Asked): readonly ExplainedNote[] {
  const marker = found.marker?.item;
  if (marker?.kind !== 'vary') return [];
  const { names, languages } = marker;
  const sent = partOf(variantKeyOf(sha256, ask, { names }));
  const isOwn = found.read !== undefined && partOf(found.read.item.key) === sent;
  const selected = isOwn ? sent : partOf(variantKeyOf(sha256, ask, marker));
  const text = `upstream varies by ${names.join(', ')}; as they are compared the request selects ${selected} (RFC 9111 §4.1)`;
  if (languages === undefined || selected === sent) return [note('vary', text)];
  const known = languages.map(([language]) => language).join(', ');
  const why = `it has ${sent}, and a stored variant is in a language that it wants most (Content-Language: ${known}; RFC 9110 §12.5.4)`;
  return [note('vary', text), note('vary', why)];
}

/** What a variant's key has beside its base key. */
function partOf(key: string): string {
  return key.slice(baseKeyOf(key).length + 1);
}

function queryNotes({ keyed }: Ask): readonly ExplainedNote[] {
  const rule = keyed.search?.rule;
  if (rule === undefined) return [];
  return [note('query', `upstream has said of the queries of this path: ${searchWords(rule)} (${searchSource})`)];
}

function softTimeoutNotes({ ask, found, nowMs }: Asked): readonly ExplainedNote[] {
  const { policy } = ask.route;
  if (policy.softTimeoutMs === undefined || found.read === undefined) return [];
  const { item: stored, staleSinceMs } = found.read;
  const decision = decideOnSoftTimeout({ stored, staleSinceMs, policy, requestFields: ask.requestFields, nowMs });
  const then = decision.kind === 'serve-stale' ? 'it is served stale and the call goes on' : 'the client waits on';
  return [
    note(
      'softTimeout',
      `if upstream were asked and had not answered after ${policy.softTimeoutMs} ms, ${then}: ${decision.reason}`,
    ),
  ];
}

/** Upstream is asked, and gives nothing good. */
function failureNotes({ ask, onFailure, nowMs, status }: Asked): readonly ExplainedNote[] {
  if (status !== undefined) return [];
  const decided = (failure: 'connect' | 503): FailureDecision =>
    decideOnFailure({
      failure,
      stored: onFailure.read?.item,
      staleSinceMs: onFailure.read?.staleSinceMs,
      policy: ask.route.policy,
      requestFields: ask.requestFields,
      nowMs,
    });
  const answered = decided(503);
  const isReplaced = answered.kind === 'serve-stale' && hasMarks(ask.requestFields);
  return [
    note('failure', `if upstream cannot be reached: ${failureText(decided('connect'), onFailure)}`),
    note('failure', `if upstream answers 5xx or 429: ${failureText(answered, onFailure)}`),
    ...(isReplaced ? [note('failure', `but if that is a 508: passed on: ${answerReasons['one-way']}`)] : []),
  ];
}

function failureText(decision: FailureDecision, { read, absent }: OnFailure): string {
  const why = read === undefined ? absent : decision.reason;
  switch (decision.kind) {
    case 'serve-stale':
      return `what is stored, stale: ${decision.reason}`;
    case 'pass-through':
      return `passed on: ${why}`;
    case 'problem':
      return `${decision.problem.status}: ${why}`;
  }
}
