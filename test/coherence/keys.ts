import { redisKeys } from '../../src/store/redis/keys.ts';

/** Of all that a run puts into Redis. */
export const keyPrefix = 'checked';

export const keys = redisKeys(keyPrefix);
