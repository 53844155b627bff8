import { execFile } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A program that tests need beside Node, the Debian package it is in, and how it is got. */
interface SystemTool {
  readonly debianPackage: string;
  /**
   * `extract`: the package is downloaded and unpacked into a folder of ours; nothing is installed, no service starts.
   * `install`: the package is installed (root only), for programs with libraries and folders of their own.
   */
  readonly by: 'extract' | 'install';
  /** Path in the unpacked package. */
  readonly path: string;
}

const tools = {
  promtool: { debianPackage: 'prometheus', by: 'extract', path: 'usr/bin/promtool' },
  kubectl: { debianPackage: 'kubernetes-client', by: 'extract', path: 'usr/bin/kubectl' },
  nginx: { debianPackage: 'nginx', by: 'extract', path: 'usr/sbin/nginx' },
  haproxy: { debianPackage: 'haproxy', by: 'install', path: 'usr/sbin/haproxy' },
  varnishd: { debianPackage: 'varnish', by: 'install', path: 'usr/sbin/varnishd' },
  wrk: { debianPackage: 'wrk', by: 'install', path: 'usr/bin/wrk' },
  h2load: { debianPackage: 'nghttp2-client', by: 'install', path: 'usr/bin/h2load' },
  'redis-server': { debianPackage: 'redis-server', by: 'install', path: 'usr/bin/redis-server' },
  'redis-cli': { debianPackage: 'redis-tools', by: 'install', path: 'usr/bin/redis-cli' },
} as const satisfies Record<string, SystemTool>;

export type SystemToolName = keyof typeof tools;

const cacheFolder = fileURLToPath(new URL('../../node_modules/.cache/forecache-tools', import.meta.url));
const run = promisify(execFile);
/** A package list and a download, on a slow day. */
const patienceMs = 300_000;

/**
 * The path of a program: from `PATH`, else from our folder, else from Debian's package, which it says on stderr.
 * Rejects with what to do where it cannot be had. Test files that call it want a `beforeAll` with a timeout to match.
 */
export async function systemTool(name: SystemToolName, say: (line: string) => void = sayOnStderr): Promise<string> {
  const tool: SystemTool = tools[name];
  const there = findTool(name, tool);
  if (there !== undefined) return there;
  if (tool.by === 'install' && process.getuid?.() !== 0) throw new Error(`${missing(name, tool)} (needs root)`);
  say(`${name} is missing: ${tool.by === 'install' ? 'installing' : 'unpacking'} Debian's ${tool.debianPackage} …`);
  mkdirSync(cacheFolder, { recursive: true });
  try {
    // One at a time: test files run in parallel, and apt has locks of its own that it does not wait for.
    await run('flock', [join(cacheFolder, 'lock'), 'bash', '-euc', script(tool)], {
      timeout: patienceMs,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  } catch (error) {
    throw new Error(missing(name, tool), { cause: error });
  }
  const path = findTool(name, tool);
  if (path === undefined) throw new Error(`${missing(name, tool)}: the package does not hold it`);
  say(`${name} is at ${path}`);
  return path;
}

function sayOnStderr(line: string): void {
  process.stderr.write(`${line}\n`);
}

function missing(name: string, tool: SystemTool): string {
  return `${name} is missing; install it with: apt-get update && apt-get install --no-install-recommends ${tool.debianPackage}`;
}

function findTool(name: string, tool: SystemTool): string | undefined {
  // Servers are in sbin, which is not in everybody's PATH.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''), '/usr/sbin'];
  return [...folders.map((folder) => join(folder, name)), unpackedPath(tool)].find(isExecutable);
}

function unpackedPath(tool: SystemTool): string {
  return join(cacheFolder, tool.debianPackage, tool.path);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** For `bash -euc`, with the lock held: another process may have got it meanwhile. */
function script(tool: SystemTool): string {
  const { debianPackage } = tool;
  if (tool.by === 'install') {
    return `
      # Debian starts a service as soon as it is installed, unless this program says no.
      if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      fi
      apt-get update
      apt-get install -y --no-install-recommends ${debianPackage}
    `;
  }
  const target = join(cacheFolder, debianPackage);
  return `
    if [ -e '${target}' ]; then exit 0; fi
    folder=$(mktemp -d '${cacheFolder}/unpack.XXXXXX')
    trap 'rm -rf "$folder"' EXIT
    # apt drops root's rights for the download.
    chmod 0777 "$folder"
    cd "$folder"
    if [ "$(id -u)" = 0 ]; then apt-get update; fi
    apt-get download ${debianPackage}
    dpkg-deb -x ./*.deb unpacked
    mv unpacked '${target}'
  `;
}
