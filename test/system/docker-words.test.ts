/** What people type who know docker, on a daemon with the fake driver. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { diffText, planText } from '../../src/cli/stack/plan-text.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { Sandbox } from '../support/pk.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-words-'));
afterAll(() => rmSync(directory, { recursive: true }));

const sandbox = (test: TestDaemon) =>
  new Sandbox(test.home, { ...process.env, POLYKERNEL_HOME: test.home, NO_COLOR: '1' });

const untilGone = (test: TestDaemon, name: string) =>
  eventually(async () => !(await test.client.list()).some(({ spec }) => spec.name === name));

it('lists are filtered, formatted and short', async () => {
  const test = await startDaemon();
  await test.create({ name: 'web', command: ['sleep', 'inf'], labels: { team: 'shop', tier: '1' } });
  await test.create({ name: 'db', command: ['sleep', 'inf'], labels: { team: 'shop' }, start: false });
  await untilState(test, 'web', 'running');
  const pk = sandbox(test);
  expect(await pk.ok('ps', '-q')).toBe('web\n');
  expect(await pk.ok('ps', '-aq', '--filter', 'label=team=shop', '-f', 'label=tier')).toBe('web\n');
  expect(await pk.ok('ps', '-q', '--filter', 'status=created')).toBe('db\n');
  expect(await pk.ok('ps', '-a', '--format', 'table {{.Names}}\\t{{.Label "tier"}}\\t{{.State}}')).toBe(
    'NAMES  TIER  STATE\nweb    1     running\ndb           created\n',
  );
  expect(JSON.parse((await pk.ok('container', 'ls', '-n', '1', '--format', '{{json .}}')).trim())).toMatchObject({
    Names: 'db',
    Labels: 'team=shop',
  });
  expect(await pk.ok('inspect', '-f', '{{.State.Status}} {{index .Config.Labels "team"}} {{.spec.cpus}}', 'web')).toBe(
    'running shop 1\n',
  );
  expect(await pk.ok('stats', '--no-stream', '--format', '{{.Name}} {{.State}}', 'web')).toBe('web running\n');
  expect(await pk.json('ps')).toMatchObject([{ spec: { name: 'web', labels: { team: 'shop', tier: '1' } } }]);
  expect(await pk.pk(['ps', '--format', '{{.names}}'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Did you mean .Names?'),
  });
});

it('what there is not is answered with what to type', async () => {
  const test = await startDaemon();
  const pk = sandbox(test);
  for (const [args, told] of [
    [['run', '--cap-add', 'NET_ADMIN', 'true'], /has no --cap-add\n.*has every capability there/],
    [['run', '--privileged=true', 'true'], /has no --privileged\n/],
    [['exec', '--privileged', 'web', 'true'], /has no --privileged\n.*--user 0/],
    [['compose', 'up'], /no command "compose"\n.*pk apply/],
    [['run', '--cpuz', '2', 'true'], /no option --cpuz; did you mean --cpus\?/],
    [['run', '--network', 'host', 'true'], /has no --network host\n.*--publish/],
    [['container'], /no command "container"/],
    [['system', 'prune'], /no command "system prune"\n.*pk rm/],
    [['image', 'inspect', 'x'], /no command "image inspect"\n.*pk image ls/],
    [['diff', 'web'], /`pk diff` has no NAME\n.*pk exec NAME find/],
    [['-H', 'tcp://1.2.3.4', 'ps'], /-H is no option of pk itself\n.*POLYKERNEL_HOME/],
  ] as const) {
    const { code, stderr } = await pk.pk(args);
    expect(stderr).toMatch(told);
    expect(code).toBe(2);
  }
});

it('a name is free again as the error says, and --rm takes away what has ended', async () => {
  const test = await startDaemon();
  await test.create({ name: 'web', command: ['true'], start: false });
  await expect(test.create({ name: 'web', command: ['true'] })).rejects.toMatchObject({
    hint: expect.stringMatching(/pk start web.*pk rm -f web/),
  });
  await test.create({ name: 'once', command: ['true'], autoRemove: true });
  await untilGone(test, 'once');
  await test.create({ name: 'long', command: ['sleep', 'inf'], autoRemove: true });
  await untilState(test, 'long', 'running');
  await sandbox(test).ok('stop', '-t', '0', 'long');
  await untilGone(test, 'long');
  await expect(test.create({ command: ['true'], autoRemove: true, restart: 'always' })).rejects.toMatchObject({
    code: 'invalid',
    field: 'autoRemove',
  });
});

it('what is so already is no failure: a start of what runs, rm -f of what is not there', async () => {
  const test = await startDaemon();
  const pk = sandbox(test);
  await test.create({ name: 'web', command: ['sleep', 'inf'] });
  const { bootId } = await untilState(test, 'web', 'running');
  expect(await pk.ok('start', 'web')).toBe('web\n');
  expect((await test.client.inspect('web')).bootId).toBe(bootId);
  await test.client.pause('web');
  expect(await pk.pk(['start', 'web'])).toMatchObject({ code: 125, stderr: expect.stringContaining('is paused') });
  const missing = expect.stringContaining('there is no instance "nobody"');
  expect(await pk.pk(['rm', '-f', 'nobody', 'web'])).toMatchObject({ code: 0, stdout: 'web\n', stderr: missing });
  expect(await pk.pk(['rm', 'nobody'])).toMatchObject({ code: 125, stderr: missing });
  expect(await pk.pk(['channel', 'rm', '-f', 'nobody'])).toMatchObject({ code: 0, stdout: '' });
  expect(await pk.pk(['start', 'nobody'])).toMatchObject({ code: 125, stderr: missing });
});

it('an error is JSON where the answer would be', async () => {
  const test = await startDaemon();
  const pk = sandbox(test);
  const told = async (...args: string[]) => {
    const { code, stdout, stderr } = await pk.pk(args);
    expect(stdout).toBe('');
    return { code, stderr };
  };
  const absent = await told('inspect', 'nowhere', '--json');
  expect(absent.code).toBe(125);
  expect(JSON.parse(absent.stderr)).toMatchObject({ error: { code: 'not-found', hint: expect.any(String) } });
  const misspelt = await told('ps', '--json', '--alll');
  expect(misspelt.code).toBe(2);
  expect(JSON.parse(misspelt.stderr)).toMatchObject({ error: { code: 'invalid', field: '--alll' } });
  for (const words of [['nothing'], ['compose', 'up'], ['-x'], ['image'], ['rm', 'web']]) {
    const { code, stderr } = await told(...words, '--json');
    expect([code, JSON.parse(stderr)]).toEqual([2, { error: expect.objectContaining({ code: 'invalid' }) }]);
  }
  const nobodys = new Sandbox('/dev/null/x', { ...pk.env, POLYKERNEL_HOME: '/dev/null/x' });
  const unreachable = await nobodys.pk(['ps', '--json']);
  expect(JSON.parse(unreachable.stderr)).toMatchObject({ error: { message: expect.stringContaining('/dev/null/x') } });
  const unready = new Sandbox(test.home, { ...pk.env, POLYKERNEL_CACHE: directory });
  expect(JSON.parse((await unready.pk(['ps', '--json'])).stderr)).toMatchObject({ error: { code: 'unavailable' } });
  expect((await told('nothing', '--', '--json')).stderr).toMatch(/^pk: /);
  // Behind the name it is the guest's own.
  expect((await told('exec', 'nowhere', 'lsblk', '--json')).stderr).toMatch(/^pk: /);
  expect((await told('inspect', 'nowhere', '--json=false')).stderr).toMatch(/^pk: /);
});

it('what is told of a name says that nobody has it, and knows ids', async () => {
  const test = await startDaemon();
  const { id } = await test.create({ name: 'web', command: ['true'], start: false });
  for (const ask of [
    (name: string) => test.client.healings({ name }),
    (name: string) => test.client.decisions({ kernel: name }),
  ]) {
    expect(await ask('web')).toEqual([]);
    expect(await ask(id)).toEqual([]);
    await expect(ask('nowhere')).rejects.toMatchObject({ code: 'not-found', hint: expect.any(String) });
  }
  await expect(test.create({ name: 'pool', command: ['true'] })).rejects.toMatchObject({ code: 'invalid' });
  expect(await candidatesIn(test, ['move', 'cpu', '--to', ''])).toEqual('pool\nweb\n');
});

const candidatesIn = (test: TestDaemon, words: readonly string[]) => sandbox(test).ok('__complete', ...words);

it('wait tells of all ends, also where a name among them is wrong', async () => {
  const test = await startDaemon();
  for (const [name, code] of [
    ['one', 1],
    ['two', 2],
  ] as const)
    await test.create({ name, command: ['sh', '-c', `exit ${code}`] });
  const { code, stdout, stderr } = await sandbox(test).pk(['wait', 'one', 'nowhere', 'two']);
  expect([code, stdout]).toEqual([125, '1\n2\n']);
  expect(stderr).toMatch(/no instance "nowhere"/);
});

it('--rm outlasts the daemon', async () => {
  const test = await startDaemon();
  await test.create({ name: 'long', command: ['sleep', 'inf'], autoRemove: true });
  await untilState(test, 'long', 'running');
  await test.crashAndRestart();
  expect(await test.client.inspect('long')).toMatchObject({ state: 'running', spec: { autoRemove: true } });
  await test.client.kill('long', {});
  await untilGone(test, 'long');
});

it('variables of a stack file come from the environment and files, and no plan shows them', async () => {
  const test = await startDaemon();
  const file = join(directory, 'polykernel.yaml');
  writeFileSync(
    file,
    [
      'name: shop',
      'x-base: &base {driver: uml, restart: unless-stopped, labels: {team: $TEAM}}',
      'kernels:',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: as it is in a file
      '  web: {<<: *base, command: [sleep, inf, "--token=$TOKEN"], environment: {TOKEN: "${TOKEN:?see the wiki}"}}',
    ].join('\n'),
  );
  const pk = sandbox(test);
  const told = await pk.pk(['validate', '-f', file]);
  expect(told.stdout).toMatch(/polykernel\.yaml:2:69: the variable TEAM is not set\n/);
  expect(told.stdout).toMatch(/polykernel\.yaml:4:83: the variable TOKEN is not set: see the wiki\n/);
  expect(told.code).toBe(2);
  writeFileSync(join(directory, '.env'), 'TEAM=from-file\nTOKEN=first-secret\n');
  expect(await pk.ok('validate', '-f', file)).toMatch(/valid \(1 kernel\)/);
  const source = (token: string) => ({
    text: readFileSync(file, 'utf8').replace('driver: uml', 'driver: fake'),
    file,
    directory,
    defaultName: 'shop',
    variables: { TEAM: 'from-file', TOKEN: token },
  });
  await test.client.apply(source('first-secret'));
  expect((await test.client.inspect('web')).spec).toMatchObject({
    command: ['sleep', 'inf', '--token=first-secret'],
    restart: 'unless-stopped',
    labels: { team: 'from-file' },
    env: { TOKEN: 'first-secret' },
  });
  const plan = await test.client.plan(source('second-secret'));
  expect(plan.kernels[0]).toMatchObject({
    action: 'replace',
    changes: ['command', 'environment.TOKEN'].map((path) => ({ path, before: '(hidden)', after: '(hidden)' })),
  });
  const applied = await test.client.apply(source('second-secret'));
  for (const each of [plan, applied]) {
    for (const text of [JSON.stringify(each), planText(each, false), diffText(each, false)])
      expect(text).not.toMatch(/(first|second)-secret/);
  }
  expect((await test.client.inspect('web')).spec.env.TOKEN).toBe('second-secret');
  expect(JSON.stringify(test.journal)).not.toContain('secret');
  expect((await test.client.plan(source('second-secret'))).steps).toEqual([]);
});
