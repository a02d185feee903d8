/**
 * The conformance suite of drivers on a true kernel with the multikernel patches, which the user supplies, in a machine that QEMU emulates:
 *
 *   MK_HOST_KERNEL=vmlinux MK_GUEST_KERNEL=vmlinux npm run test:multikernel
 *
 * Each is a vmlinux, a bzImage, or the name of an image of the store; both of one source. MK_HOST_MODULES: a directory of the host kernel's
 * modules, where what docs/multikernel.md names is not built in. Ends with 0 where none is given, saying so; with 3 for a host kernel
 * that is none, with the reason; else as the suite does. No part of `npm test`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { MultikernelDriver } from '../src/driver/multikernel/driver.ts';
import { PolykernelError } from '../src/sys/errors.ts';
import { cacheDirectory } from '../src/sys/paths.ts';
import { run } from '../src/sys/process.ts';
import { onTrueHost, suppliedImage, TRUE_GUEST } from '../test/support/multikernel/true-host.ts';
import { argumentsOrHelp } from './usage.ts';

const REFUSED = 3;
/** Where it runs as the product does on the host. */
const INSIDE = '--inside';

const words = argumentsOrHelp(
  'usage: npm run test:multikernel (with MK_HOST_KERNEL and MK_GUEST_KERNEL, files, in the environment)',
);
process.exitCode = await (words[0] === INSIDE ? inside() : outside()).catch((error: unknown) => {
  if (!(error instanceof PolykernelError)) throw error;
  console.error(`test:multikernel: ${error.message}${error.hint === undefined ? '' : `. ${error.hint}`}`);
  return 1;
});

async function outside(): Promise<number> {
  const { MK_HOST_KERNEL: hostKernel, MK_GUEST_KERNEL: guestKernel, MK_HOST_MODULES: modules } = process.env;
  if (!hostKernel || !guestKernel) {
    console.log('skipped: no kernels with the multikernel patches were given (MK_HOST_KERNEL, MK_GUEST_KERNEL)');
    return 0;
  }
  const host = await suppliedImage(hostKernel, 'mk-host', modules);
  await suppliedImage(guestKernel, TRUE_GUEST);
  console.log(`booting Linux ${host.version} as the host`);
  return await onTrueHost(host, async ({ guest }) => {
    const env = { PATH: process.env.PATH!, HOME: '/root', POLYKERNEL_CACHE: cacheDirectory() };
    const command = ['sh', 'scripts/tool.sh', 'sh', 'scripts/node.sh', 'scripts/test-multikernel.ts', INSIDE];
    const child = guest.exec({ command, env, cwd: process.cwd(), user: '0' });
    child.stdout.pipe(process.stdout);
    child.stderr.pipe(process.stderr);
    child.stdin.end();
    const { value } = await child.exited;
    return value;
  });
}

async function inside(): Promise<number> {
  await run(['mount', '-t', 'multikernel', 'none', '/sys/fs/multikernel']).catch(() => {});
  const { available, reason, hint } = await new MultikernelDriver().probe();
  if (!available) {
    console.log(`refused: ${reason}${hint === undefined ? '' : `. ${hint}`}`);
    return REFUSED;
  }
  const suite = ['run', '--project', 'kernel', 'test/kernel/multikernel-host.test.ts'];
  const [code] = await once(
    spawn('vitest', suite, { stdio: 'inherit', env: { ...process.env, POLYKERNEL_ON_MULTIKERNEL: '1' } }),
    'exit',
  );
  return code ?? 1;
}
