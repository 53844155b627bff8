/** What became of the program's own two output streams. */
export interface WatchedOutput {
  /** True where something written so far was lost for another reason than that nobody reads any more. */
  failed(): Promise<boolean>;
}

/**
 * Without a listener an error of standard output ends the process with a stack trace. That nobody reads any more
 * (`| head`) is no error of ours: the command ends as it would have, and a proxy goes on. Anything else (a full disk) is
 * told in a line.
 */
export function watchOutput(stdout: NodeJS.WritableStream, stderr: NodeJS.WritableStream): WatchedOutput {
  let failed = false;
  const heed = (error: NodeJS.ErrnoException): boolean => {
    if (failed || error.code === 'EPIPE') return false;
    failed = true;
    return true;
  };
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (heed(error)) stderr.write(`forecache: standard output: ${error.message}\n`);
  });
  stderr.on('error', heed);
  return {
    async failed() {
      for (const stream of [stdout, stderr]) await written(stream);
      return failed;
    },
  };
}

/** Resolves behind everything that was written to it, errors and all. */
function written(stream: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    // An error's event comes with the tick behind the callback.
    stream.write('', () => setImmediate(resolve));
  });
}
