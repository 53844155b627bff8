import { exitCode } from './io.ts';
import { asList, asNumber, asRecord, asText, isRecord, textOr, type JsonRecord } from './json.ts';
import { renderAnswer, renderHttp } from './render-http.ts';
import type { Rendering } from './report.ts';
import { table } from './terminal.ts';

/** The answer of `POST /api/explain`: what would happen first, then how that came about. */
export function renderExplanation(body: unknown): Rendering {
  const explanation = asRecord(body);
  const parts = [
    decision(explanation),
    facts(explanation),
    steps(explanation),
    stored(explanation),
    renderHttp(explanation),
    coherence(explanation),
    renderAnswer(explanation),
  ];
  return { text: parts.filter((part) => part !== '').join('\n'), code: exitCode.ok };
}

function decision(explanation: JsonRecord): string {
  const { would, fwd, reason } = asRecord(explanation['decision']);
  const forwarded = asText(fwd);
  const outcome = `${textOr(would)}${forwarded === undefined ? '' : ` (fwd=${forwarded})`}`;
  const rows = [['would be', outcome]];
  const why = asText(reason);
  if (why !== undefined) rows.push(['because', why]);
  if (isRecord(explanation['problem'])) {
    const { status, title, detail } = explanation['problem'];
    rows.push(['answer', [asText(status), asText(title)].filter((part) => part !== undefined).join(' ')]);
    rows.push(['', textOr(detail, '')]);
  }
  return table(rows);
}

function facts(explanation: JsonRecord): string {
  const upstream = asRecord(explanation['upstream']);
  const method = textOr(upstream['method'], textOr(explanation['method'], 'GET'));
  const target = asText(upstream['target']);
  const rows = [
    ['route', asText(explanation['route'])],
    ['key', asText(explanation['key'])],
    ['url', asText(explanation['url'])],
    ['upstream', target === undefined ? undefined : `${textOr(upstream['name'])}: ${method} ${target}`],
    ['tags', asList(explanation['tags']).map(asText).join(', ')],
  ];
  return table(rows.map(([name = '', value]) => [name, value === undefined || value === '' ? '(none)' : value]));
}

function steps(explanation: JsonRecord): string {
  const rows = asList(explanation['steps']).map((step) => {
    const { part, name, before, after, rule } = asRecord(step);
    return [textOr(part, ''), textOr(name, ''), shown(before), '→', shown(after), textOr(rule, '')];
  });
  return rows.length === 0 ? '' : table([['PART', 'NAME', 'BEFORE', '', 'AFTER', 'RULE'], ...rows]);
}

/** Absent and empty are different values of a parameter, so they must look different. */
function shown(value: unknown): string {
  const text = asText(value);
  if (text === undefined) return '(absent)';
  return text === '' ? '(empty)' : text;
}

function stored(explanation: JsonRecord): string {
  if (!isRecord(explanation['stored'])) return 'stored    (nothing)\n';
  const found = explanation['stored'];
  const position = asRecord(found['position']);
  const staleSince = asText(found['staleSince']);
  const ttl = asNumber(found['ttlSeconds']);
  const age = `age ${asNumber(found['ageSeconds'])} s, ${ttl > 0 ? `fresh for ${ttl} s` : `stale for ${-ttl} s`}`;
  const rows = [
    ['stored', `${textOr(found['tier'])}: status ${textOr(found['status'])}, ${textOr(found['sizeBytes'])} bytes`],
    ['', `${age}, lifetime by ${textOr(found['source'])}, hits ${textOr(found['hits'], 'not counted')}`],
    ['', `stored ${textOr(found['storedAt'])}, fresh until ${textOr(found['freshUntil'])}`],
    ['', `kept until ${textOr(found['retainUntil'])}`],
    ['', `purge position ${textOr(position['epoch'])}/${textOr(position['seq'])}${validity(found)}`],
  ];
  if (staleSince !== undefined) rows.push(['', `soft-purged at ${staleSince}`]);
  if (asText(found['key']) !== asText(explanation['key'])) rows.push(['', `variant ${textOr(found['key'])}`]);
  return table(rows.map(([name = '', value = '']) => [name.padEnd(8), value]));
}

function validity(found: JsonRecord): string {
  const because = asText(found['invalidBecause']);
  return because === undefined ? '' : `, not served: ${reasons.get(because) ?? because}`;
}

const reasons: ReadonlyMap<string, string> = new Map([
  ['lease', 'no lease on the purge log'],
  ['epoch', 'of another epoch of the purge log, or of a place that it has not reached here'],
  ['floor', 'older than the purges that are remembered'],
  ['purged', 'purged'],
]);

/** Nothing where no purge log is shared. */
function coherence(explanation: JsonRecord): string {
  if (!isRecord(explanation['coherence'])) return '';
  const { leased, epoch, applied, lag } = explanation['coherence'];
  const lease = leased === true ? 'leased' : 'no lease: nothing is served from store';
  const missing = asNumber(lag);
  const behind = missing > 0 ? `, ${missing} purges behind` : '';
  return table([
    ['purges', `${lease}; epoch ${textOr(epoch, '(none yet)')}, applied up to ${textOr(applied)}${behind}`],
  ]);
}
