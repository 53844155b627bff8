import { formatIssue } from '../config/issue.ts';
import { adminTarget, callAdmin, type AdminCall, type AdminOptions } from './admin-client.ts';
import { explainBody, type ExplainOptions } from './explain-request.ts';
import { exitCode, type CliIo } from './io.ts';
import { purgeBody, type PurgeOptions } from './purge-request.ts';
import { renderExplanation } from './render-explanation.ts';
import { renderPurge } from './render-purge.ts';
import { renderReset, renderStats } from './render-stats.ts';
import { renderWarm } from './render-warm.ts';
import { report, reportIssues, reportRefusal, reportUsage, type Rendering } from './report.ts';
import { printable, printableJson } from './terminal.ts';
import { warmBody, type WarmOptions } from './warm-request.ts';

interface JsonOption {
  readonly json?: boolean;
}

type Asking = AdminOptions & JsonOption;

export async function check(options: JsonOption & { readonly config: string }, io: CliIo): Promise<number> {
  const config = await io.loadConfig(options.config);
  if (!config.ok) return reportIssues(config.error, io, options.json === true);
  const { value } = config;
  const summary = {
    ok: true,
    file: value.file,
    routes: value.routes.length,
    upstreams: value.upstreams.size,
    warmJobs: value.warm.jobs.length,
    scheduledPurges: value.purge.schedule.length,
    notes: value.notes,
  };
  const counts = [
    counted(summary.routes, 'route'),
    counted(summary.upstreams, 'upstream'),
    counted(summary.warmJobs, 'warm job'),
    counted(summary.scheduledPurges, 'scheduled purge'),
  ];
  const notes = value.notes.map((note) => `${formatIssue({ ...note, path: `note: ${note.path}` })}\n`);
  const text = `${notes.join('')}${options.config}: ok, ${counts.join(', ')}\n`;
  io.stdout(options.json === true ? `${printableJson(summary)}\n` : printable(text));
  return exitCode.ok;
}

export async function explain(url: string, options: Asking & ExplainOptions, io: CliIo): Promise<number> {
  if (options.config !== undefined && options.admin !== undefined) {
    return reportUsage('--config explains offline and --admin asks the running proxy; give one of them', io);
  }
  const body = explainBody(url, options);
  if (!body.ok) return reportUsage(body.error, io);
  if (options.config === undefined) {
    return await ask({ method: 'POST', path: 'api/explain', body: body.value }, options, io, renderExplanation);
  }
  const offline = await io.explainOffline(options.config, body.value);
  switch (offline.kind) {
    case 'config':
      return reportIssues(offline.issues, io, options.json === true);
    case 'refused':
      return reportRefusal(offline.problem, io, options.json === true);
    case 'explained': {
      const { explanation } = offline;
      const { text, code } = renderExplanation(explanation);
      io.stdout(options.json === true ? `${printableJson(explanation)}\n` : printable(text));
      return code;
    }
  }
}

export async function purge(options: Asking & PurgeOptions, io: CliIo): Promise<number> {
  const body = purgeBody(options);
  if (!body.ok) return reportUsage(body.error, io);
  return await ask({ method: 'POST', path: 'api/purge', body: body.value }, options, io, renderPurge);
}

export async function warm(options: Asking & WarmOptions, io: CliIo): Promise<number> {
  const body = warmBody(options);
  if (!body.ok) return reportUsage(body.error, io);
  return await ask({ method: 'POST', path: 'api/warm', body: body.value }, options, io, renderWarm);
}

export async function stats(options: Asking & { readonly reset?: boolean }, io: CliIo): Promise<number> {
  if (options.reset === true)
    return await ask({ method: 'POST', path: 'api/metrics/cache/reset' }, options, io, renderReset);
  return await ask({ method: 'GET', path: 'api/metrics/cache' }, options, io, renderStats);
}

async function ask(
  call: AdminCall,
  options: Asking,
  io: CliIo,
  render: (body: unknown, status: number) => Rendering,
): Promise<number> {
  const target = adminTarget(options, io.env);
  if (!target.ok) return reportUsage(target.error, io);
  const answer = await callAdmin(target.value, call);
  return report(answer, io, { target: target.value, json: options.json === true, render });
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
