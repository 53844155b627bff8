import { exitCode } from './io.ts';
import { asList, asNumber, asRecord, asText } from './json.ts';
import type { Rendering } from './report.ts';
import { printableLine, table } from './terminal.ts';

/** The answer of `POST /api/purge`. An incomplete purge is worth repeating. */
export function renderPurge(body: unknown): Rendering {
  const answer = asRecord(body);
  const matched = asNumber(answer['matched']);
  const responses = `${matched} stored response${matched === 1 ? '' : 's'}`;
  const soft = answer['soft'] === true;
  if (answer['dryRun'] === true) {
    return { text: `would ${soft ? 'mark stale' : 'purge'} ${responses}; nothing was changed\n`, code: exitCode.ok };
  }
  const complete = answer['complete'] === true;
  const missing = asList(answer['missing']).map((id) => asText(id) ?? '?');
  const rows = asList(answer['sidecars']).map((sidecar) => {
    const { id, appliedMs } = asRecord(sidecar);
    return ['  applied by', asText(id) ?? '?', `after ${asNumber(appliedMs).toFixed(1)} ms`];
  });
  const lines = [
    `${soft ? 'marked stale' : 'purged'} ${responses} here; ${complete ? 'complete' : 'NOT complete yet'} (purge ${printableLine(asText(answer['id']) ?? '?')})\n`,
    rows.length === 0 ? '' : table(rows),
    missing.length === 0 ? '' : `  not acknowledged by ${printableLine(missing.join(', '))}\n`,
  ];
  return { text: lines.join(''), code: complete ? exitCode.ok : exitCode.temporary };
}
