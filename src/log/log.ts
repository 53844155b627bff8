import { pino, type Level } from 'pino';
import type { Observer } from '../cache/ports.ts';
import type { LogConfig } from '../core/config.ts';
import { createLogObserver } from './observe.ts';
import { createLogCleaner, type LogFields } from './redact.ts';
import { standardError, type Sink } from './standard-error.ts';

/** JSON lines. None of its functions throws or waits. Dispose of it last: that writes what is buffered. */
export interface Log extends Disposable {
  readonly debug: (fields: LogFields, message: string) => void;
  readonly info: (fields: LogFields, message: string) => void;
  readonly warn: (fields: LogFields, message: string) => void;
  readonly error: (fields: LogFields, message: string) => void;
  /** False where lines of this level go nowhere, so that nobody needs to make their fields. */
  readonly writes: (level: Level) => boolean;
  /** A text up to this length, no part of a known secret at its end. */
  readonly shortened: (text: string, length: number) => string;
  /** Writes what is buffered, now. */
  readonly flush: () => void;
  /** Writes whole lines that the log of another thread has made, so that lines of two threads never mix. */
  readonly pass: (lines: string) => void;
  /** Writes a line for what happens (`observe.ts`). */
  readonly observer: Observer;
}

/** Where lines go; each `write` gets one or more whole lines. */
export interface LogStream {
  write(lines: string): unknown;
}

export interface LogOptions {
  /** Standard error unless given: standard output is left to the line that says where the program listens. */
  readonly stream?: LogStream;
  /** Values that must never be written (tokens, credentials): masked wherever they turn up, if six characters or longer. */
  readonly secrets?: readonly string[];
  /** Number of the worker, in each of its lines. */
  readonly worker?: number;
}

/** Opens the log. `silent` writes nothing at all. */
export function createLog(config: LogConfig, options: LogOptions = {}): Log {
  const cleaner = createLogCleaner(options.secrets ?? []);
  const sink = options.stream === undefined ? standardError() : givenStream(options.stream);
  const logger = pino(
    {
      level: config.level,
      base: options.worker === undefined ? null : { worker: options.worker },
      // Errors come as plain data already; pino's serialiser would take them for errors again.
      serializers: { err: (value: unknown) => value },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => sink.write(cleaner.line(line)) },
  );
  const write = (level: Level, fields: LogFields, message: string): void => {
    if (!logger.isLevelEnabled(level)) return;
    logger[level](cleaner.fields(fields), '%s', message);
    // Lines that tell of trouble may be the last ones.
    if (level === 'warn' || level === 'error') sink.flush();
  };
  const lines = {
    debug: (fields: LogFields, message: string) => write('debug', fields, message),
    info: (fields: LogFields, message: string) => write('info', fields, message),
    warn: (fields: LogFields, message: string) => write('warn', fields, message),
    error: (fields: LogFields, message: string) => write('error', fields, message),
    writes: (level: Level) => logger.isLevelEnabled(level),
    shortened: cleaner.shortened,
  };
  return {
    ...lines,
    observer: createLogObserver(lines, config),
    flush: () => sink.flush(),
    pass: (passed) => {
      sink.write(passed);
      if (trouble.test(passed)) sink.flush();
    },
    [Symbol.dispose]: () => sink.close(),
  };
}

/** A line of `warn` or `error` among several, each of which begins with its level; no value has a line break in it. */
const trouble = /^\{"level":"(?:warn|error)"/mu;

function givenStream(stream: LogStream): Sink {
  return { write: (line) => void stream.write(line), flush: () => undefined, close: () => undefined };
}
