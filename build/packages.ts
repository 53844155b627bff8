import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';

/** A package of which a part is in the bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string;
  /** Its licence and its notice, word for word. */
  readonly texts: readonly string[];
}

/** The packages that these modules come from, by name. Throws where one has no licence that could go along. */
export function packagesOf(moduleIds: readonly string[]): readonly BundledPackage[] {
  const folders = new Set(moduleIds.filter((id) => id.includes(`${sep}node_modules${sep}`)).map(folderOf));
  return [...folders].map(readPackage).toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

function folderOf(id: string): string {
  const path = id.replace(/^\0/, '').replace(/\?.*$/, '');
  let folder = dirname(path);
  // Folders of a package may have a package.json of their own, without a name.
  while (manifestOf(folder)?.['version'] === undefined) {
    if (dirname(folder) === folder) throw new Error(`${path} belongs to no package`);
    folder = dirname(folder);
  }
  return folder;
}

function manifestOf(folder: string): Readonly<Record<string, unknown>> | undefined {
  const file = join(folder, 'package.json');
  if (!existsSync(file)) return undefined;
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : undefined;
}

function readPackage(folder: string): BundledPackage {
  const { name, version, license } = manifestOf(folder) ?? {};
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .map((file) => readFileSync(join(folder, file), 'utf8').trim());
  if (texts.length === 0 || typeof license !== 'string') throw new Error(`${folder} names no licence`);
  return { name: String(name), version: String(version), license, texts };
}

/** What the licences ask to be passed on. */
export function licences(packages: readonly BundledPackage[]): string {
  const parts = packages.map(
    ({ name, version, license, texts }) => `${name} ${version} (${license})\n\n${texts.join('\n\n')}\n`,
  );
  return ['These packages are part of the files beside this one.\n', ...parts].join(`\n${'-'.repeat(80)}\n\n`);
}

/** The inventory in CycloneDX 1.6, where scanners of images look for what a bundle hides from them. */
export function inventory(root: string, packages: readonly BundledPackage[]): string {
  const { name, version } = manifestOf(root) ?? {};
  const components = packages.map((one) => {
    const purl = `pkg:npm/${one.name.replace('@', '%40')}@${one.version}`;
    return {
      type: 'library',
      'bom-ref': purl,
      name: one.name,
      version: one.version,
      purl,
      licenses: [{ license: { id: one.license } }],
    };
  });
  const metadata = { component: { type: 'application', name, version } };
  const bom = { bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, metadata, components };
  return `${JSON.stringify(bom, null, 2)}\n`;
}
