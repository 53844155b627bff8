import { parseArgs } from 'node:util';

import { allRules } from '../../src/store/coherence/rules.ts';
import { alterationNames, isAlteration } from './alterations.ts';
import { modes, type Mode } from './backend.ts';
import { faultKinds } from './fault-kinds.ts';
import type { RunOptions } from './run-history.ts';

export const usage = `node test/coherence/run.ts [--mode alone|standalone|sentinel|cluster] [--seed N] [--seconds 60]
  [--sidecars 4; alone: 1] [--workers 1] [--clients 4] [--lease 1000] [--faults all|none|KIND,KIND] [--without RULE,RULE] [--think 40]
  [--purge-pause 300]

Runs a fleet of sidecars under faults and checks that no read that began after a completed purge got anything older.
Exit code 1: a violation, a refusal, or a run that proves nothing; 64: the command line is wrong.`;

/** The command line is wrong; its message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

type Values = Readonly<Record<string, string | boolean | undefined>>;

/** What to run; `undefined`: help was asked for. Throws {@link UsageError}. */
export function parseRun(args: readonly string[], seed: number): RunOptions | undefined {
  const values = valuesOf(args);
  if (values['help'] === true) return undefined;
  const mode = oneOf('mode', String(values['mode']), modes);
  const whole = (name: string, usual: number, least: number, most: number): number => {
    const value = numberOf(name, values, usual);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new UsageError(`--${name} is a whole number from ${least} to ${most}, not ${value}`);
  };
  const seconds = numberOf('seconds', values, 60);
  // Timers hold no more than 24 days.
  if (seconds <= 0 || seconds > 1e6) throw new UsageError(`--seconds is more than 0, at most 1000000, not ${seconds}`);
  const sidecars = whole('sidecars', mode === 'alone' ? 1 : 4, 1, 100);
  if (mode === 'alone' && sidecars !== 1) throw new UsageError('--mode alone has one sidecar: without Redis no fleet');
  const without = words(values['without']).map((rule) =>
    oneOf('without', rule, [...Object.keys(allRules), ...alterationNames]),
  );
  return {
    mode,
    seed: whole('seed', seed, 0, 2 ** 32 - 1),
    seconds,
    sidecars,
    workers: whole('workers', 1, 1, 64),
    clientsEach: whole('clients', 4, 1, 1_000),
    // What the configuration takes with `coherence: strict`.
    leaseMs: whole('lease', 1_000, 200, 60_000),
    thinkMs: whole('think', 40, 0, 60_000),
    purgePauseMs: whole('purge-pause', 300, 0, 60_000),
    rules: Object.fromEntries(without.filter((rule) => !isAlteration(rule)).map((rule) => [rule, false])),
    altered: without.filter((rule) => isAlteration(rule)),
    ...faultsOf(mode, String(values['faults'])),
  };
}

function valuesOf(args: readonly string[]): Values {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        mode: { ...text, default: 'standalone' },
        seed: text,
        seconds: text,
        sidecars: text,
        workers: text,
        clients: text,
        lease: text,
        faults: { ...text, default: 'all' },
        without: text,
        think: text,
        'purge-pause': text,
        help: { type: 'boolean' },
      },
    });
    return values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function faultsOf(mode: Mode, list: string): { readonly faults?: readonly string[] } {
  if (list === 'all') return {};
  if (list === 'none') return { faults: [] };
  const faults = words(list).map((kind) => oneOf('faults', kind, faultKinds[mode]));
  // Nothing is what `none` says; an empty list is a slip, as of a variable that is not set.
  if (faults.length === 0) throw new UsageError('--faults names no fault; none is --faults none');
  return { faults };
}

function oneOf<T extends string>(option: string, text: string, all: readonly T[]): T {
  const found = all.find((one) => one === text);
  if (found !== undefined) return found;
  throw new UsageError(`--${option} knows no '${text}', only ${all.join(', ')}`);
}

/** A finite number; digits alone, so that neither '' nor '0x10' nor '1e9' is one. */
function numberOf(name: string, values: Values, usual: number): number {
  const text = values[name];
  if (text === undefined) return usual;
  if (typeof text === 'string' && /^\d{1,15}(?:\.\d{1,3})?$/.test(text)) return Number(text);
  throw new UsageError(`--${name} is a number, not '${String(text)}'`);
}

function words(list: string | boolean | undefined): readonly string[] {
  return typeof list === 'string' ? list.split(',').filter((word) => word !== '') : [];
}
