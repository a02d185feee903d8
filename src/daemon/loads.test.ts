import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

/** All that is loaded with the daemon: of Node, of libraries, and of ours. */
async function loaded(): Promise<string> {
  const script = `import { createRequire, registerHooks } from 'node:module';
    registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });
    await import(${JSON.stringify(new URL('./daemon.ts', import.meta.url).href)});
    console.log(process.moduleLoadList.join('\\n'));
    console.log(Object.keys(createRequire(import.meta.url).cache).join('\\n'));`;
  return (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])).stdout;
}

describe('what the daemon loads', async () => {
  const all = await loaded();

  it('is no HTTP client, and no WebSockets before a stream', () => {
    expect(all).toContain('NativeModule net\n');
    // `import 'node:http'` reads the getter of WebSocket, and this comes along: 14 MiB.
    expect(all).not.toContain('undici');
    expect(all).toContain('node_modules/fastify/');
    expect(all).not.toContain('node_modules/ws/');
  });

  it('is no trial of containment before one is made', () => {
    expect(all).toContain('/src/containment/trials.ts');
    expect(all).not.toContain('/src/containment/trial.ts');
  });

  it('is no planner, and nothing that reads stack files, before the first plan: 3 MiB', () => {
    expect(all).toContain('/src/ledger/ledger.ts');
    expect(all).not.toContain('/src/ledger/planner');
    expect(all).not.toContain('node_modules/yaml/');
    expect(all).not.toContain('/parse-kernel.ts');
  });
});
