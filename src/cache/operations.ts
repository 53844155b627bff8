import type { PurgeSelector } from '../core/config.ts';
import type { Fwd, OutcomeName, Tier } from '../core/outcome.ts';
import type { Problem } from '../core/problem.ts';
import type { KeyStep } from '../core/request.ts';
import type { Position } from '../core/stored-response.ts';
import type { ExplainedAnswer, ExplainedNote, ExplainedReply, ExplainedResponse } from './explained-http.ts';
import type { Invalidity } from './fleet-ports.ts';
import type { PurgeReceipt } from './ports.ts';

/** What an operator asks to be purged. */
export interface PurgeCommand {
  readonly selector: PurgeSelector;
  /** Marks stale instead of removing: what is covered is validated before its next use, or served where stale is allowed. */
  readonly soft: boolean;
  /** Only counts; nothing is purged. */
  readonly dryRun: boolean;
  /** Who asked: the JSON call, the PURGE method, or the schedule. */
  readonly source: 'api' | 'method' | 'schedule';
}

/** The answer to a {@link PurgeCommand}. `complete` false: some sidecar may still serve what was purged. */
export interface PurgeAnswer extends PurgeReceipt {
  /** Stored responses that this process's memory tier held of what the selector covers, just before. */
  readonly matched: number;
  readonly dryRun: boolean;
  readonly soft: boolean;
}

/** The counters were reset. */
export interface CountersReset {
  /** Processes of the fleet that have not heard of it. Each drops what it has counted when it does; until then nothing of it is in reports. */
  readonly missing: readonly string[];
}

/** What an operator asks to be fetched ahead. */
export type WarmRequest =
  /** One request of the route for each set of parameters. */
  | { readonly kind: 'route'; readonly route: string; readonly with: readonly Readonly<Record<string, string>>[] }
  /** The configured jobs, for these locations instead of the configured ones. */
  | { readonly kind: 'locations'; readonly locations: readonly string[] };

export interface WarmReport {
  readonly fetched: number;
  /** Stored responses with enough lifetime left. */
  readonly reused: number;
  readonly failed: number;
  readonly durationMs: number;
  /** One for each request; `fetched + reused + failed` of them. */
  readonly items: readonly WarmItem[];
}

export interface WarmItem {
  /** Canonical URL on the proxy; secrets are digests. */
  readonly url: string;
  readonly route: string;
  readonly result: 'fetched' | 'reused' | 'failed';
  /** Upstream's status; absent where there was no answer or no call. */
  readonly status?: number;
  /** Why it failed or was not stored; nothing secret. */
  readonly detail?: string;
  /** The instant (ISO 8601) from which it may be asked for again, by its upstream's Retry-After; absent: it may be now. */
  readonly retryAt?: string;
}

export interface ExplainRequest {
  /**
   * Path and query on the proxy, an absolute URL, or `//host` with a path, as canonical URLs are. A URL with the address
   * of one of the proxy's own listeners is asked of that listener.
   */
  readonly url: string;
  /** Name of the listener that the request comes by; where absent the one that `url` names, else `default`. */
  readonly listener?: string;
  /** GET where absent. */
  readonly method?: string;
  /** Request fields; names in any case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Content, sent as UTF-8. */
  readonly body?: string;
  /** What upstream is supposed to answer, to see what would be done with that. */
  readonly response?: ExplainedResponse;
}

/** What would happen to a request now, and why. `null` where there is none of it. Nothing secret. */
export interface Explanation {
  readonly method: string;
  /** The route that governs it; `null` when none matches. */
  readonly route: string | null;
  readonly key: string | null;
  /** Canonical URL on the proxy, with secrets as digests. */
  readonly url: string | null;
  readonly tags: readonly string[];
  /** What would go upstream, credentials as `***`; where nothing would, what would for a fetch. */
  readonly upstream: { readonly name: string; readonly method: string; readonly target: string } | null;
  /** Each parameter before and after. */
  readonly steps: readonly KeyStep[];
  readonly stored: ExplainedStored | null;
  /** What this process knows of the purge log that it shares with others; `null` where it shares none. */
  readonly coherence: ExplainedCoherence | null;
  readonly decision: ExplainedDecision;
  /** The refusal, where the request would be refused. */
  readonly problem: Problem | null;
  /** What the client would be sent, as far as it is known without upstream. */
  readonly sent: ExplainedReply | null;
  /** Each piece of HTTP caching that has a part in it. */
  readonly notes: readonly ExplainedNote[];
  /** What would be done with `response`; `null` where it is not given, or the request would be refused. */
  readonly answer: ExplainedAnswer | null;
}

/** Whether what is stored may be served at all (docs/coherence.md). */
export interface ExplainedCoherence {
  /** False: nothing is served from store. */
  readonly leased: boolean;
  readonly epoch: string;
  /** The last purge that was applied here. */
  readonly applied: number;
  /** Purges that are known to be missing here. */
  readonly lag: number;
}

/** The stored response that the request would select. */
export interface ExplainedStored {
  /** With the variant part where the upstream varies. */
  readonly key: string;
  readonly tier: Tier;
  readonly status: number;
  readonly ageSeconds: number;
  /** Freshness left; negative when stale. */
  readonly ttlSeconds: number;
  /** Content bytes. */
  readonly sizeBytes: number;
  /** Times served since stored; `null` where the tier does not count. */
  readonly hits: number | null;
  readonly position: Position;
  /** False: it is not served, however fresh. */
  readonly valid: boolean;
  /** `lease`: nobody knows here what has been purged since; `epoch`, `floor`: its position says nothing any more. */
  readonly invalidBecause: Invalidity | null;
  /** ISO 8601 instant of the soft purge that made it stale. */
  readonly staleSince: string | null;
  /** ISO 8601 instants. */
  readonly storedAt: string;
  readonly freshUntil: string;
  readonly retainUntil: string;
  /** Where the lifetime came from (`Freshness.source`). */
  readonly source: string;
}

export interface ExplainedDecision {
  /** The outcome that the request would be counted under; a call that fails or is collapsed is not foreseen. */
  readonly would: OutcomeName;
  /** Why it would be forwarded; `null` when it would not. */
  readonly fwd: Fwd | null;
  /** A sentence, with the RFC's section where it decides. */
  readonly reason: string;
}
