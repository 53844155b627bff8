/** Major versions of Node that the tests have passed on with what is used of it beyond its documentation. */
const MAJORS: ReadonlySet<string | undefined> = new Set(['24', '26']);

/** Whether parts that Node does not document may be looked for: on any other version what rests on them is done in a documented way. */
export function isTestedNode(version: string): boolean {
  return MAJORS.has(/^\d+/.exec(version)?.[0]);
}
