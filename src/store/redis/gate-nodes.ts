import type { RedisStatus } from '../../cache/fleet-ports.ts';
import { Breaker, type BreakerOptions, type BreakerState } from './breaker.ts';
import type { RedisLink } from './link.ts';

/** What is known of one node. Times are monotonic. */
export interface GateNode {
  readonly breaker: Breaker;
  /** When it last answered. */
  answeredMs: number;
  /** When it last answered within a small part of a budget. */
  nearMs: number;
}

/** Nodes with breakers of their own at most; nodes that come and go under new names must not pile up. */
const maxBreakers = 256;

/** One for each node of a cluster, so that a shard that is down does not keep anyone from the others. */
export class GateNodes implements Disposable {
  readonly #link: Pick<RedisLink, 'nodeOf'>;
  readonly #breakerFor: (key: string) => BreakerOptions;
  readonly #nodes = new Map<string, GateNode>();
  /** Most links have one node, which each read asks for. */
  #last: { readonly name: string; readonly node: GateNode | undefined } = { name: '', node: undefined };

  constructor(link: Pick<RedisLink, 'nodeOf'>, breakerFor: (key: string) => BreakerOptions) {
    this.#link = link;
    this.#breakerFor = breakerFor;
  }

  /** Of several nodes the worst counts. */
  state(): RedisStatus['breaker'] {
    const states = new Set<BreakerState>(Array.from(this.#nodes.values(), ({ breaker: { state } }) => state));
    return states.has('open') ? 'open' : states.has('half-open') ? 'half-open' : 'closed';
  }

  wake(): void {
    for (const { breaker } of this.#nodes.values()) breaker.wake();
  }

  /** Of the node that serves the key now. */
  of(key: string): GateNode {
    const name = this.#link.nodeOf?.(key) ?? '';
    const last = this.#last;
    if (last.node !== undefined && last.name === name) return last.node;
    const node = this.#nodes.get(name) ?? this.#make(name, key);
    this.#last = { name, node };
    return node;
  }

  [Symbol.dispose](): void {
    for (const { breaker } of this.#nodes.values()) breaker[Symbol.dispose]();
    this.#nodes.clear();
    this.#last = { name: '', node: undefined };
  }

  #make(name: string, key: string): GateNode {
    if (this.#nodes.size >= maxBreakers) this[Symbol.dispose]();
    const never = Number.NEGATIVE_INFINITY;
    const node: GateNode = { breaker: new Breaker(this.#breakerFor(key)), answeredMs: never, nearMs: never };
    this.#nodes.set(name, node);
    return node;
  }
}
