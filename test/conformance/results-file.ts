import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { reasonOf } from './probe.ts';
import { SuiteError, type SuiteResults } from './suite.ts';

/** A file that is open for the suite's results; until they are there it stays as it was. */
export interface ResultsFile extends Disposable {
  /** Throws {@link SuiteError} where it does not take them. */
  write(results: SuiteResults): void;
}

/** Throws {@link SuiteError} where the file cannot be written. */
export function openResults(file: string): ResultsFile {
  const orRefuse = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      throw new SuiteError(`the results cannot be written to ${file}: ${reasonOf(error)}`, { cause: error });
    }
  };
  const handle = orRefuse(() => openSync(file, 'a'));
  return {
    write: (results) =>
      orRefuse(() => {
        ftruncateSync(handle);
        writeSync(handle, `${JSON.stringify(Object.fromEntries(results), null, 2)}\n`);
      }),
    [Symbol.dispose]: () => closeSync(handle),
  };
}
