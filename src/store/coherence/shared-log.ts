import type { CoherenceStatus, FleetNotices, PositionJudge } from '../../cache/fleet-ports.ts';
import type { TrackedPurgeLog } from '../purge-follower.ts';

/** The purge log that a fleet shares in Redis. See docs/coherence.md. */
export interface SharedPurgeLog extends TrackedPurgeLog, FleetNotices, PositionJudge, AsyncDisposable {
  /** Begins to follow the log; resolves when the first lease is there, or after `patienceMs`. */
  start(patienceMs: number): Promise<void>;
  status(): CoherenceStatus;
  /** Of this process: random, new with each start. */
  readonly instanceId: string;
  /** Wall clock of Redis less that of this process, milliseconds; 0 before the first contact. */
  skewMs(): number;
  /** Gives up the lease for good and tells the fleet, so that no purge waits for this process. */
  leave(): Promise<void>;
}
