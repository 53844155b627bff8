/**
 * The rules of coherence, each of which can be taken away. Only tests do that, to show that each is needed and that the
 * history checker can fail; the program itself always runs with {@link allRules}.
 */
export interface CoherenceRules {
  /** The position is taken before the request goes upstream; without: after the answer has come. */
  readonly earlyPosition: boolean;
  /** Who joins a fetch checks that no purge came since it began. */
  readonly checkedJoiner: boolean;
  /** A purge waits for acknowledgements or for the end of all leases. */
  readonly barrier: boolean;
  /** Nothing is served from store without a lease. */
  readonly lease: boolean;
  /** The lease counts from when the call was sent; without: from when its reply came. */
  readonly leaseFromSend: boolean;
  /** Another replication history, or a log that is not whole, makes a new epoch. */
  readonly epoch: boolean;
  /** The control node must have its replicas. */
  readonly replicaCheck: boolean;
}

export const allRules: CoherenceRules = {
  earlyPosition: true,
  checkedJoiner: true,
  barrier: true,
  lease: true,
  leaseFromSend: true,
  epoch: true,
  replicaCheck: true,
};
