import type { Observer } from '../cache/ports.ts';

/** One observer that tells several, in their order. */
export function combineObservers(observers: readonly Observer[]): Observer {
  return {
    // Told of every hit.
    request(record) {
      for (const observer of observers) observer.request(record);
    },
    upstreamCall: (call) => observers.forEach((observer) => observer.upstreamCall(call)),
    brokenBody: (record) => observers.forEach((observer) => observer.brokenBody(record)),
    storage: (route, result) => observers.forEach((observer) => observer.storage(route, result)),
    purge: (record) => observers.forEach((observer) => observer.purge(record)),
    warm: (record) => observers.forEach((observer) => observer.warm(record)),
    limit: (option) => observers.forEach((observer) => observer.limit(option)),
    fleet: (event) => observers.forEach((observer) => observer.fleet(event)),
  };
}
