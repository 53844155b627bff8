import type { FillOutcome } from '../../cache/fleet-ports.ts';
import type { Position } from '../../core/stored-response.ts';

/** What a lock is held by: a token of its holder's own, and the position that he claimed it at. */
export function lockValue(token: string, position: Position | undefined): string {
  return position === undefined ? token : `${token} ${position.epoch} ${position.seq}`;
}

/** What is said in place of a lock, for those who wait. */
export function outcomeWord(outcome: Exclude<FillOutcome, 'stored' | 'left'>): string {
  return `!${outcome}`;
}

export type ClaimReply =
  | { readonly kind: 'ours' | 'unshared' | 'timeout' }
  | { readonly kind: 'theirs'; readonly position: Position | undefined }
  /** `value` is empty where it was not asked for. */
  | { readonly kind: 'stored'; readonly value: Buffer };

/** Never throws. What other versions of the program write is a lock of somebody's. */
export function parseClaimReply(reply: unknown): ClaimReply {
  const [word, value]: readonly unknown[] = Array.isArray(reply) ? reply : [];
  switch (String(word)) {
    case 'stored':
      return Buffer.isBuffer(value) ? { kind: 'stored', value } : { kind: 'theirs', position: undefined };
    case 'ours':
      return { kind: 'ours' };
    default:
      return heldBy(String(value));
  }
}

function heldBy(value: string): ClaimReply {
  if (value === outcomeWord('timeout')) return { kind: 'timeout' };
  if (value.startsWith('!')) return { kind: 'unshared' };
  const [, epoch, seq] = /^\S+ (\S+) (\d{1,15})$/.exec(value) ?? [];
  const position = epoch === undefined ? undefined : { epoch, seq: Number(seq) };
  return { kind: 'theirs', position };
}
