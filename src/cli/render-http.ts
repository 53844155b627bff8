import { asList, asRecord, asText, isRecord, textOr, type JsonRecord } from './json.ts';
import { table } from './terminal.ts';

/** What the client would be sent, and what of HTTP caching has a part in it; empty where the proxy says nothing of it. */
export function renderHttp(explanation: JsonRecord): string {
  const sent = sentText(explanation['sent']);
  const rows = [...(sent === undefined ? [] : [['sends', sent]]), ...noteRows(explanation['notes'])];
  return rows.length === 0 ? '' : table(rows);
}

/** What would be done with the answer that the caller made up; empty where there was none. */
export function renderAnswer(explanation: JsonRecord): string {
  const answer = explanation['answer'];
  if (!isRecord(answer)) return '';
  const token = asText(answer['token']);
  const stored = answer['stored'] === true ? 'stored' : `not stored${token === undefined ? '' : ` (${token})`}`;
  const rows = [
    ['would be', stored],
    ['because', asText(answer['reason'])],
    ['key', asText(answer['key'])],
    ['tags', texts(answer['tags'])],
    ['invalidates', texts(answer['invalidates'])],
    ['sends', sentText(answer['sent'])],
  ].flatMap(([name = '', value = '']) => (value === '' ? [] : [[name, value]]));
  return `such an answer of upstream's\n${table([...rows, ...noteRows(answer['notes'])])}`;
}

function sentText(value: unknown): string | undefined {
  if (!isRecord(value)) return undefined;
  const line = asText(value['cacheStatus']);
  const status = asText(value['status']) ?? "upstream's status";
  return line === undefined ? status : `${status}, Cache-Status: ${line}`;
}

function noteRows(value: unknown): readonly (readonly string[])[] {
  return asList(value).map((note) => {
    const { topic, text } = asRecord(note);
    return [textOr(topic, ''), textOr(text, '')];
  });
}

function texts(value: unknown): string {
  return asList(value).map(asText).join(', ');
}
