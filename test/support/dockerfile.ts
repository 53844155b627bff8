/** One instruction of a Dockerfile. */
export interface DockerInstruction {
  /** Upper case. */
  readonly name: string;
  /** The rest of the line, continuation lines joined. */
  readonly text: string;
}

/** One build stage: from a `FROM` to the next. */
export interface DockerStage {
  readonly base: string;
  /** Name after `AS`; `undefined` for one without. */
  readonly name: string | undefined;
  readonly instructions: readonly DockerInstruction[];
}

/** Reads a Dockerfile as far as ours go: comments, continuation lines, stages. Throws for an instruction before the first FROM. */
export function parseDockerfile(text: string): readonly DockerStage[] {
  const lines = text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const stages: { base: string; name: string | undefined; instructions: DockerInstruction[] }[] = [];
  for (const line of lines) {
    const space = line.search(/\s/);
    const instruction = { name: line.slice(0, space).toUpperCase(), text: line.slice(space).trim() };
    if (instruction.name === 'FROM') {
      const [base = '', , name] = instruction.text.split(/\s+/);
      stages.push({ base, name, instructions: [] });
      continue;
    }
    const stage = stages.at(-1);
    if (stage === undefined) throw new Error(`${instruction.name} before FROM`);
    stage.instructions.push(instruction);
  }
  return stages;
}
