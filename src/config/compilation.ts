import type { WarmJob } from '../core/config.ts';
import type { RouteTable } from '../core/route-table.ts';
import type { Environment } from './env.ts';
import type { IssueList } from './issue.ts';
import type { ConfigInput } from './schema.ts';
import { type Path, type SourceNode, nodeAt } from './source.ts';
import { didYouMean } from './suggest.ts';
import { quoted } from './units.ts';

/** What a warming job asks for, whenever it does. */
export type WarmRequests = Pick<WarmJob, 'route' | 'with' | 'zone'>;

/** Checks that need what this folder may not import; each answers a sentence, or `undefined` for "valid". */
export interface ConfigChecks {
  /** Of an RFC 9535 query. */
  readonly checkQuery?: (query: string) => string | undefined;
  /** Of a cron expression. */
  readonly checkCron?: (expression: string) => string | undefined;
  /** Of a file (absolute path) of certificate authorities. */
  readonly checkCaFile?: (file: string) => string | undefined;
  /** Of a certificate and its key (absolute paths). */
  readonly checkCertFiles?: (
    certFile: string,
    keyFile: string,
  ) => { readonly of: 'certFile' | 'keyFile'; readonly message: string } | undefined;
  /** Of what a job requests, {location} standing for each of `locations`. */
  readonly checkWarmJob?: (table: RouteTable, job: WarmRequests, locations: readonly string[]) => string | undefined;
  /** Of a URL to be purged. */
  readonly checkPurgeUrl?: (table: RouteTable, url: string) => string | undefined;
}

/** What the steps from typed input to `Config` share. */
export interface Compilation {
  readonly root: SourceNode;
  readonly issues: IssueList;
  /** A value that was refused cannot be read: see `unlessRefused`. */
  readonly input: ConfigInput;
  readonly env: Environment;
  readonly checks: ConfigChecks;
  /** Absolute path of the file. */
  readonly file: string;
}

/** The positions of the list at a path, whatever is in them, in order. */
export function placesAt(compilation: Compilation, path: Path): readonly number[] {
  const node = nodeAt(compilation.root, path);
  return node?.kind === 'list' ? [...node.items.keys()] : [];
}

/** The keys of the map at a path, sound or not, in order. */
export function keysAt(compilation: Compilation, path: Path): readonly string[] {
  const node = nodeAt(compilation.root, path);
  return node?.kind === 'map' ? [...node.entries.keys()] : [];
}

/** Says that nothing of that name exists, and what was probably meant. */
export function unknownName(noun: string, name: string, valid: readonly string[]): string {
  return `there is no ${noun} ${quoted(name)}${didYouMean(name, valid)}`;
}
