/** Who a user is by a guest's own passwd and group, which may say anything: native/init/users.c by itself, with sanitizers. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { findCompiler } from '../../scripts/setup/native.ts';
import { run, which } from '../../src/sys/process.ts';

const NATIVE = join(import.meta.dirname, '../../native');
const PROGRAM = `#define USER_PASSWD "passwd"
#define USER_GROUP "group"
#include "${NATIVE}/common/fields.c"
#include "${NATIVE}/init/users.c"
#include <stdio.h>
int main(int argc, char **argv)
{
	static struct guest_user user;
	const char *part = "";
	/* Twice: nothing of one question may be in the answer to the next. */
	for (int i = 1; i < argc; i++) {
		int error = guest_user_find(argv[i], &user, &part);
		if (error) {
			printf("%s %d\\n", part, error);
			continue;
		}
		printf("%u:%u %s", user.uid, user.gid, user.home);
		for (unsigned g = 0; g < user.group_count; g++)
			printf(" %u", user.groups[g]);
		puts("");
	}
}
`;
const [ESRCH, E2BIG, EINVAL] = [3, 7, 22];

let directory: string;
const file = (name: string) => join(directory, name);
const who = (...users: string[]) =>
  execFileSync(file('who'), users, { cwd: directory, encoding: 'utf8' }).split('\n').slice(0, -1);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-users-'));
  writeFileSync(file('who.c'), PROGRAM);
  // A gcc that set-up unpacked finds no sanitizers.
  const [compiler, flags] =
    which('gcc') === undefined
      ? [findCompiler(directory), ['-std=gnu11', '-static']]
      : [{ argv: ['gcc'], env: {} }, ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']];
  const warnings = ['-Wall', '-Wextra', '-Werror', '-g'];
  const argv = [...compiler.argv, ...warnings, ...flags, '-o', file('who'), file('who.c')];
  const compiled = await run(argv, { env: compiler.env });
  expect(compiled.stderr).toBe('');
});
beforeEach(() => {
  for (const name of ['passwd', 'group']) rmSync(file(name), { recursive: true, force: true });
});
afterAll(() => rmSync(directory, { recursive: true }));

it('takes uid, gid, home and groups from the files, as other runtimes do', () => {
  writeFileSync(
    file('passwd'),
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:50::/home/app:/bin/sh\nbare:x:7:8::\nlast:x:9:9::/last',
  );
  writeFileSync(
    file('group'),
    'root:x:0:\nstaff:x:50:app\nextra:x:60:root,app\nother:x:70:apple,ap,xapp\nend:x:80:app',
  );
  expect(who('app', '1000', 'app:extra', '1000:5', 'app:staff')).toEqual([
    '1000:50 /home/app 50 60 80',
    '1000:50 /home/app 50 60 80',
    '1000:60 /home/app',
    '1000:5 /home/app',
    '1000:50 /home/app',
  ]);
  expect(who('0', 'root', 'last', 'bare', '4242', '4242:extra')).toEqual([
    '0:0 /root 60',
    '0:0 /root 60',
    '9:9 /last',
    '7:8 /',
    '4242:0 /',
    '4242:60 /',
  ]);
  expect(who('nosuch', 'app:nosuch', 'nosuch:5')).toEqual([`user ${ESRCH}`, `group ${ESRCH}`, `user ${ESRCH}`]);
});

it('needs no files for numbers', () => {
  expect(who('0', '5', '5:6', 'app', '5:staff')).toEqual([
    '0:0 /root',
    '5:0 /',
    '5:6 /',
    `user ${ESRCH}`,
    `group ${ESRCH}`,
  ]);
});

it('takes nothing for a number that is none, and never the one that means no change', () => {
  writeFileSync(
    file('passwd'),
    [
      'app:x:4294967295:0::/a:',
      'app:x:-1:0::/a:',
      'app:x::0::/a:',
      'app:x:0x0:0::/a:',
      'app:x:00000000000:0::/a:',
    ].join('\n') +
      '\napp:x:1:4294967295::/a:\napp:x: 1:1::/a:\n+::::::\n:x:3:3::/b:\napp:x:4\n\n::::::\napp:x:4294967294:1::relative:\n',
  );
  expect(who('app', '4294967294', '3', '4294967295', '99999999999', '', ':', 'app:4294967295', 'app:')).toEqual([
    '4294967294:1 /',
    '4294967294:1 /',
    '3:0 /',
    ...[1, 2, 3, 4].map(() => `user ${EINVAL}`),
    ...[1, 2].map(() => `group ${EINVAL}`),
  ]);
});

it('leaves out lines and names that do not fit, and reads no further than its bound', () => {
  const long = 'x'.repeat(65_536);
  writeFileSync(
    file('passwd'),
    `app:${long}:1:1::/a:\n${'y'.repeat(200_000)}\nfar:x:2:2::/${'h'.repeat(5000)}:\n${'n'.repeat(300)}:x:5:5::/n:\napp:x:3:3::/b:`,
  );
  writeFileSync(file('group'), `a:x:9:${'z,'.repeat(40_000)}app\nb:x:10:,,app,\0,app`);
  expect(who('app', 'far', '5')).toEqual(['3:3 /b 10', '2:2 /', '5:5 /n']);
  writeFileSync(file('passwd'), `${'#\n'.repeat(3_000_000)}app:x:3:3::/b:\n`);
  expect(who('app', '3')).toEqual([`user ${ESRCH}`, '3:0 /']);
  writeFileSync(file('passwd'), 'app:x:3:3::/b:\n');
  writeFileSync(file('group'), 'g:x:1:app\n'.repeat(1025));
  expect(who('app', 'app:5')).toEqual([`group ${E2BIG}`, '3:5 /b']);
});

it('waits for no file that is none', async () => {
  await run(['mkfifo', file('passwd')]);
  symlinkSync('group', file('group'));
  expect(who('5', 'app', '5:g')).toEqual(['5:0 /', `user ${ESRCH}`, `group ${ESRCH}`]);
});
