import type { Check } from './checks.ts';
import type { Figures, Latencies } from './figures.ts';
import type { PurgeScene } from './purge-scene.ts';

/** Where the demo writes. */
export interface Screen {
  line(text?: string): void;
  /** One line that is written over on a terminal; elsewhere every quarter has a line of its own. */
  progress(done: number, total: number): void;
}

const barWidth = 30;

export function createScreen(stream: { write(text: string): unknown; readonly isTTY?: boolean }): Screen {
  let quarter = 0;
  return {
    line: (text = '') => void stream.write(`${text}\n`),
    progress: (done, total) => {
      if (stream.isTTY === true) {
        const filled = Math.round((barWidth * done) / total);
        const bar = '#'.repeat(filled) + '.'.repeat(barWidth - filled);
        stream.write(`\r  [${bar}] ${done} of ${total} requests${done === total ? '\n' : ''}`);
        return;
      }
      const reached = Math.floor((4 * done) / total);
      if (reached > quarter) stream.write(`  ${done} of ${total} requests\n`);
      quarter = reached;
    },
  };
}

/** The table of a run. */
export function figureLines(
  figures: Figures,
  upstream: { readonly weather: number; readonly events: number },
): readonly string[] {
  const calls = upstream.weather + upstream.events;
  return [
    row('requests', String(figures.requests), `${figures.agents} agents, ${figures.spellings} spellings`),
    row('upstream calls', String(calls), `weather ${upstream.weather}, events ${upstream.events}`),
    row('hit ratio', `${figures.hitRatio.toFixed(1)} %`, `${figures.hits.count} hits, ${figures.misses.count} misses`),
    row('a hit takes', duration(figures.hits.p50), `p50; p99 ${duration(figures.hits.p99)}`),
    row('a miss takes', duration(figures.misses.p50), `p50; p99 ${duration(figures.misses.p99)}`),
    row('saved', `${figures.callsSaved} calls`, `${figures.secondsSaved.toFixed(1)} s of waiting${faster(figures)}`),
  ];
}

/** What the purge did, step by step. */
export function purgeLines(scene: PurgeScene): readonly string[] {
  return [
    `  POST /api/purge {"tag":"location:berlin"}: ${scene.matched} stored responses, weather and events, in ${duration(scene.tookMs)}`,
    ...scene.after.map(
      ({ target, outcome, tookMs }) =>
        `  ${outcome === 'hit' ? 'hit    ' : 'fetched'} ${duration(tookMs).padStart(9)}  GET ${target}`,
    ),
  ];
}

export function checkLine({ holds, text }: Check): string {
  return `  ${holds ? '✓' : '✗'} ${text}`;
}

/** A duration as people read it: 0.43 ms, 12.1 ms, 241 ms. */
export function duration(ms: number): string {
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return ms >= 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(2)} ms`;
}

function row(name: string, figure: string, remark: string): string {
  return `  ${name.padEnd(16)}${figure.padStart(10)}   ${remark}`;
}

function faster({ hits, misses }: { readonly hits: Latencies; readonly misses: Latencies }): string {
  return hits.p50 > 0 && misses.p50 > 0 ? `; a hit is ${Math.round(misses.p50 / hits.p50)} times as fast` : '';
}
