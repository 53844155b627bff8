import type { CallPhase, UpstreamLimit } from './failure.ts';

/** What an exchange needs of the request that goes upstream. */
export interface UpstreamEnd {
  /** Its content waits for upstream; absent where it has none. */
  readonly writableNeedDrain?: boolean;
  destroy(): unknown;
}

/** How far upstream's side has come, which decides what may take how long. */
export type Stage = 'connecting' | 'sending' | 'waiting' | 'settling' | 'body' | 'over';

/** What is too long in a stage. */
export const limitOfStage: Readonly<Record<Stage, UpstreamLimit>> = {
  connecting: 'connectTimeout',
  sending: 'bodyTimeout',
  waiting: 'headersTimeout',
  // Not upstream's time: nothing is timed while its answer waits for what it made invalid to be gone.
  settling: 'bodyTimeout',
  body: 'bodyTimeout',
  over: 'bodyTimeout',
};

/** What an error in a stage is an error of. */
export function phaseOf(stage: Stage): CallPhase {
  if (stage === 'connecting') return 'connecting';
  return stage === 'body' || stage === 'settling' ? 'body' : 'waiting';
}
