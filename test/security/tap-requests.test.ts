/** How often code in place of a VMM may ask of its network card, by a clock that the test moves. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { run, which } from '../../src/sys/process.ts';

const CALLS = join(import.meta.dirname, '../../native/jail/calls.c');
/** For each request and time in seconds how many of 2,000 are let pass. */
const PROGRAM = `#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static long now_s;
static int clock_of_test(int clock, struct timespec *now)
{
	(void)clock;
	now->tv_sec = now_s, now->tv_nsec = 0;
	return 0;
}
#define clock_gettime clock_of_test
#include "${CALLS}"
int main(int argc, char **argv)
{
	struct call call = {0};

	call.data.arguments[1] = strtoul(argv[1], NULL, 0);
	for (int i = 2; i < argc; i++) {
		int passed = 0;

		now_s = atol(argv[i]);
		for (int n = 0; n < 2000; n++)
			passed += may_ask_tap(&call);
		printf("%d\\n", passed);
	}
	return 0;
}
`;

it('1,024, and twelve more each minute up to that, however many are asked for', async ({ skip }) => {
  skip(which('gcc') === undefined, 'gcc is missing: that of set-up lacks headers of Linux');
  const directory = mkdtempSync(join(tmpdir(), 'pk-tap-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [source, program] = [join(directory, 'tap.c'), join(directory, 'tap')];
  writeFileSync(source, PROGRAM);
  // What it would need of the other files is left out with what needs it.
  const words = ['-std=gnu11', '-D_GNU_SOURCE', '-w', '-ffunction-sections', '-fdata-sections', '-Wl,--gc-sections'];
  expect(await run(['gcc', ...words, '-o', program, source])).toMatchObject({ code: 0, stderr: '' });
  const times = [5, 64, 65, 124, 125, 605, 700_000];
  for (const request of ['0x800454d2', '0x400454d0']) {
    const { stdout } = await run([program, request, ...times.map(String)]);
    expect(stdout.trim().split('\n').map(Number)).toEqual([1024, 0, 12, 0, 12, 96, 1024]);
  }
});
