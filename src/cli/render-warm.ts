import { exitCode } from './io.ts';
import { asList, asNumber, asRecord, asText } from './json.ts';
import type { Rendering } from './report.ts';
import { table } from './terminal.ts';

/** The answer of `POST /api/warm`. */
export function renderWarm(body: unknown): Rendering {
  const answer = asRecord(body);
  const failed = asNumber(answer['failed']);
  const rows = asList(answer['items']).map((item) => {
    const { result, status, route, url, detail } = asRecord(item);
    return [
      asText(result) ?? '?',
      asText(status) ?? '-',
      asText(route) ?? '-',
      asText(url) ?? '-',
      asText(detail) ?? '',
    ];
  });
  const seconds = (asNumber(answer['durationMs']) / 1000).toFixed(2);
  const counts = `${asNumber(answer['fetched'])} fetched, ${asNumber(answer['reused'])} reused, ${failed} failed`;
  const items = rows.length === 0 ? '' : table([['RESULT', 'STATUS', 'ROUTE', 'URL', 'DETAIL'], ...rows], new Set([1]));
  return { text: `${items}${counts} in ${seconds} s\n`, code: failed === 0 ? exitCode.ok : exitCode.failed };
}
