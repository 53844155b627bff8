import { readFileSync } from 'node:fs';
import type { Config } from '../../src/core/config.ts';
import type { Result } from '../../src/core/problem.ts';
import type { ConfigChecks } from '../../src/config/compilation.ts';
import { type ConfigIssue, formatIssue } from '../../src/config/issue.ts';
import { parseConfig } from '../../src/config/load.ts';

/** The configuration of the contract, to the byte. */
export const contractFile = readFileSync(new URL('../config/contract-file.yaml.txt', import.meta.url), 'utf8');

/** Reads text as the configuration file `/etc/f.yaml`, in an empty environment unless told otherwise. */
export function readConfig(
  text: string | Buffer,
  env: Readonly<Record<string, string>> = {},
  checks: ConfigChecks = {},
): Result<Config, readonly ConfigIssue[]> {
  return parseConfig(Buffer.from(text), { file: '/etc/f.yaml', env, checks });
}

/** The issues of a text, each as it is printed but without the file's name. */
export function issuesOf(
  text: string | Buffer,
  env: Readonly<Record<string, string>> = {},
  checks: ConfigChecks = {},
): readonly string[] {
  const read = readConfig(text, env, checks);
  return read.ok ? [] : read.error.map((issue) => formatIssue(issue).slice('/etc/f.yaml:'.length));
}

/** The configuration of a text that has no issue. */
export function configOf(text: string, env: Readonly<Record<string, string>> = {}): Config {
  const read = readConfig(text, env);
  if (!read.ok) throw new Error(read.error.map(formatIssue).join('\n'));
  return read.value;
}
