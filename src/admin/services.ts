import type { ListFilter, MaybePromise, StoredSummary } from '../cache/ports.ts';
import type {
  CountersReset,
  Explanation,
  ExplainRequest,
  PurgeAnswer,
  PurgeCommand,
  WarmReport,
  WarmRequest,
} from '../cache/operations.ts';
import type { Result } from '../core/problem.ts';
import type { CacheReport } from '../metrics/report.ts';

/** Where the proxy is between start and end. */
type ProxyState = 'starting' | 'ready' | 'draining';

/** What the admin listener makes available. A refusal is a `Result`; what rejects is answered with a 500. */
export interface AdminServices {
  readonly purge: (command: PurgeCommand) => Promise<Result<PurgeAnswer>>;
  readonly warm: (request: WarmRequest) => Promise<Result<WarmReport>>;
  readonly explain: (request: ExplainRequest) => Promise<Result<Explanation>>;
  readonly list: (filter: ListFilter) => MaybePromise<readonly StoredSummary[]>;
  readonly metricsReport: () => MaybePromise<CacheReport>;
  /** Refused with a 503 where it cannot be guaranteed for the whole fleet; it may have taken effect then, and is safe to repeat. */
  readonly resetMetrics: () => MaybePromise<Result<CountersReset>>;
  /** Prometheus text exposition, version 0.0.4. */
  readonly prometheus: () => Promise<string>;
  readonly state: () => ProxyState;
}
