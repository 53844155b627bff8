// A stand-in for a real agent: it asks its sidecar for weather and events and prints how it was answered.
const base = process.env.FORECACHE_URL ?? 'http://127.0.0.1:8080';
const pauseMs = Number(process.env.PAUSE_MS ?? '5000');
const questions = [
  '/weather/forecast?location=Berlin',
  '/weather/forecast?days=7&location=berlin&units=metric',
  '/weather/historical?location=lima&date=2026-07-14',
  '/events/search?location=BERLIN&categories=music,arts',
  '/events/search?categories=arts,music&location=%20berlin',
];

const stopped = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stopped.abort());

async function ask(target) {
  const began = performance.now();
  try {
    const answer = await fetch(base + target, { signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(15_000)]) });
    await answer.arrayBuffer();
    const took = (performance.now() - began).toFixed(1);
    console.log(`${answer.status} ${took} ms  ${target}  ${answer.headers.get('cache-status')}`);
  } catch (error) {
    if (!stopped.signal.aborted) console.error(`failed ${target}: ${error.cause?.message ?? error.message}`);
  }
}

function pause() {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, pauseMs);
    stopped.signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

while (!stopped.signal.aborted) {
  for (const target of questions) {
    if (!stopped.signal.aborted) await ask(target);
  }
  if (!stopped.signal.aborted) await pause();
}
