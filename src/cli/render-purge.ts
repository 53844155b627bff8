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
  const id = printableLine(asText(answer['id']) ?? '?');
  const lines = [
    `${soft ? 'marked stale' : 'purged'} ${responses} here; ${complete ? 'complete' : 'NOT complete yet'} (purge ${id})\n`,
    applied(answer['sidecars']),
    missing(answer['missing'], complete),
    complete ? '' : pending(asText(answer['completeBy'])),
  ];
  return { text: lines.join(''), code: complete ? exitCode.ok : exitCode.temporary };
}

function applied(sidecars: unknown): string {
  const rows = asList(sidecars).map((sidecar) => {
    const { id, appliedMs } = asRecord(sidecar);
    return ['  applied by', asText(id) ?? '?', `after ${asNumber(appliedMs).toFixed(1)} ms`];
  });
  return rows.length === 0 ? '' : table(rows);
}

/** Who is missing, and what a complete purge means for them. */
function missing(ids: unknown, complete: boolean): string {
  const names = asList(ids).map((id) => asText(id) ?? '?');
  if (names.length === 0) return '';
  const line = `  not acknowledged by ${printableLine(names.join(', '))}\n`;
  return complete ? `${line}  (what has not acknowledged serves nothing from store until it has caught up)\n` : line;
}

function pending(completeBy: string | undefined): string {
  const until = completeBy === undefined ? '' : ` until ${printableLine(completeBy)}`;
  return `  it may still be served there${until}; repeating the purge is safe\n`;
}
