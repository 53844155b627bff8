import type { Observer } from '../cache/ports.ts';

/**
 * The same observer, but one that never throws: it is told of things in listeners and timers, where an error would end
 * the process. `onBug` hears what it threw.
 */
export function guardObserver(observer: Observer, onBug: (error: unknown) => void): Observer {
  const guard = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      onBug(error);
    }
  };
  return {
    // Told of every hit: no closure for each.
    request(record) {
      try {
        observer.request(record);
      } catch (error) {
        onBug(error);
      }
    },
    repeats(like) {
      try {
        return observer.repeats?.(like);
      } catch (error) {
        onBug(error);
        return undefined;
      }
    },
    upstreamCall: (call) => guard(() => observer.upstreamCall(call)),
    brokenBody: (record) => guard(() => observer.brokenBody(record)),
    storage: (route, result) => guard(() => observer.storage(route, result)),
    purge: (record) => guard(() => observer.purge(record)),
    warm: (record) => guard(() => observer.warm(record)),
    limit: (option) => guard(() => observer.limit(option)),
    // Told of every look at Redis.
    fleet(event) {
      try {
        observer.fleet(event);
      } catch (error) {
        onBug(error);
      }
    },
  };
}
