import type { FieldLines } from '../core/fields.ts';
import type { ClientLink } from './handled.ts';
import type { Ask } from './respond.ts';

/** Who is to hear the interim responses (RFC 9110 §15.2) of a call that several may wait for. */
export class Interims {
  readonly #clients: ClientLink[] = [];

  /**
   * From now on. On ruled routes nobody does: the request upstream is the proxy's own there, and what is said of it before
   * its answer may be about anybody.
   */
  add({ route, client }: Pick<Ask, 'route' | 'client'>): void {
    if (client !== undefined && route.policy.upstreamCacheControl === 'honour') this.#clients.push(client);
  }

  /** For the call. */
  readonly tell = (status: number, fields: FieldLines): void => {
    for (const client of this.#clients) client.interim(status, fields);
  };
}
