import { flushCompileCache } from 'node:module';

import { createApp } from '../../src/app.ts';
import type { Clock } from '../../src/cache/ports.ts';
import { formatIssue } from '../../src/config/issue.ts';
import { loadConfigFile } from '../../src/offline.ts';
import type { CoherenceRules } from '../../src/store/coherence/rules.ts';
import { systemClock } from '../../src/system-clock.ts';

/** What the parent tells, as JSON, in the only argument. */
export interface SidecarOrders {
  readonly configFile: string;
  /** What this process's wall clock is ahead of the machine's. */
  readonly skewMs: number;
  /** Rules of coherence that are taken away. */
  readonly rules: Partial<CoherenceRules>;
}

/** What the parent hears once. */
export interface SidecarReady {
  readonly proxyPort: number;
  readonly adminPort: number;
}

/** What the parent may say later: its wall clock steps. */
export interface SidecarStep {
  readonly skewMs: number;
}

/**
 * The real program without its command line, for the history checker: with a wall clock that is wrong, and with rules taken
 * away where a test wants to see that they are needed. It ends with its parent.
 */
async function main({ configFile, skewMs, rules }: SidecarOrders): Promise<void> {
  let aheadMs = skewMs;
  const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs };
  process.on('disconnect', () => process.exit(0));
  process.on('message', (step: SidecarStep) => void (aheadMs = step.skewMs));
  const config = loadConfigFile(configFile, {});
  if (!config.ok) throw new Error(config.error.map(formatIssue).join('\n'));
  const app = await createApp(config.value, { clock, rules });
  const [listener] = app.listeners;
  if (listener === undefined) throw new Error('no listener');
  const ready: SidecarReady = { proxyPort: listener.port, adminPort: app.admin.port };
  process.send?.(ready);
  // Nothing else would leave what was compiled to the next one: most are killed.
  flushCompileCache();
  process.on('SIGTERM', () => void app.stop().then(() => process.exit(0)));
}

// Not awaited: it is built as CommonJS too (`built-sidecar.ts`). What it throws ends the process.
void main(JSON.parse(process.argv[2] ?? ''));
