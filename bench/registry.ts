import type { Bar } from './bars.ts';
import { growthBars } from './growth.ts';
import { hitBars } from './hits.ts';
import { latencyBars } from './latency.ts';
import { missBars } from './miss.ts';
import { redisBars } from './redis-nginx.ts';
import { startBars } from './start.ts';
import { workersBars } from './workers.ts';

/** All bars, in the order in which they are run. */
export const bars: readonly Bar[] = [
  ...hitBars,
  ...redisBars,
  ...missBars,
  ...latencyBars,
  ...growthBars,
  ...startBars,
  ...workersBars,
];
