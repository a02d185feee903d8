import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('the daemon loads no HTTP client, and no WebSockets before a stream', async () => {
  const url = new URL('./daemon.ts', import.meta.url).href;
  const script = `import { createRequire } from 'node:module';
    await import(${JSON.stringify(url)});
    console.log(process.moduleLoadList.join('\\n'));
    console.log(Object.keys(createRequire(import.meta.url).cache).join('\\n'));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout).toContain('NativeModule net\n');
  // `import 'node:http'` reads the getter of WebSocket, and this comes along: 14 MiB.
  expect(stdout).not.toContain('undici');
  expect(stdout).toContain('node_modules/fastify/');
  expect(stdout).not.toContain('node_modules/ws/');
});
