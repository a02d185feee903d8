import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('the daemon loads no HTTP client', async () => {
  const url = new URL('./daemon.ts', import.meta.url).href;
  const script = `await import(${JSON.stringify(url)}); console.log(process.moduleLoadList.join('\\n'))`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout).toContain('NativeModule net\n');
  // `import 'node:http'` reads the getter of WebSocket, and this comes along: 14 MiB.
  expect(stdout).not.toContain('undici');
});
