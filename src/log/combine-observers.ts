import type { Observer, Repeats } from '../cache/ports.ts';
import { untold } from './untold.ts';

/** One observer that tells several, in their order. */
export function combineObservers(observers: readonly Observer[]): Observer {
  return {
    // Told of every hit.
    request(record) {
      for (const observer of observers) observer.request(record);
    },
    repeats(like) {
      const told: Repeats[] = [];
      for (const observer of observers) {
        const repeats = observer.repeats?.(like);
        if (repeats === undefined) return undefined;
        if (repeats !== untold) told.push(repeats);
      }
      const [one = untold, ...others] = told;
      return others.length === 0 ? one : { repeated: (bytes, ms) => told.forEach((each) => each.repeated(bytes, ms)) };
    },
    upstreamCall: (call) => observers.forEach((observer) => observer.upstreamCall(call)),
    brokenBody: (record) => observers.forEach((observer) => observer.brokenBody(record)),
    storage: (route, result) => observers.forEach((observer) => observer.storage(route, result)),
    purge: (record) => observers.forEach((observer) => observer.purge(record)),
    warm: (record) => observers.forEach((observer) => observer.warm(record)),
    limit: (option) => observers.forEach((observer) => observer.limit(option)),
    // Told of every look at Redis.
    fleet(event) {
      for (const observer of observers) observer.fleet(event);
    },
  };
}
