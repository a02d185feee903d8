import { describe, expect, it } from 'vitest';
import { parse } from '../kit/command.ts';
import { command as run } from './run.ts';
import { runRequest } from './run-request.ts';

const AROUND = {
  cwd: '/here',
  env: { PATH: '/bin', HOME: '/me', SECRET: 'x', LC_ALL: 'C' },
  terminal: false,
  oneOutput: false,
  rows: 0,
  columns: 0,
  envFiles: [],
};
const request = (...args: string[]) => runRequest(parse('run', run, args), AROUND);

describe('runRequest', () => {
  it('passes a chosen environment and the working directory', () => {
    expect(request('true')).toMatchObject({
      command: ['true'],
      cwd: '/here',
      root: 'host',
      attached: true,
      env: { PATH: '/bin', HOME: '/me', LC_ALL: 'C' },
    });
    expect(request('true').env).not.toHaveProperty('SECRET');
    expect(request('-e', 'SECRET', '-e', 'A=b=c', 'true').env).toMatchObject({ SECRET: 'x', A: 'b=c' });
  });

  it('reads files of variables as docker does', () => {
    const around = { ...AROUND, envFiles: ['\uFEFFA=1\r\n  # no\r\n\tB= x \nC="q" # part\nSECRET\nNONE\n', 'A=2'] };
    const { env } = runRequest(parse('run', run, ['--rootfs', 'dir', 'true']), around);
    expect(env).toEqual({ PATH: expect.any(String), A: '2', B: ' x ', C: '"q" # part', SECRET: 'x' });
  });

  it.each(['A=1\nexport B=2', '\n A B = 2', 'export B', 'KEY=-----BEGIN KEY-----\nsecret words'])(
    'refuses, as docker does, a file of variables with a space in a name, and does not repeat what it says: %j',
    (text) => {
      const around = { ...AROUND, envFiles: [text] };
      expect(() => runRequest(parse('run', run, ['true']), around)).toThrow(
        /^--env-file: line \d names no variable: there is a space in the name$/,
      );
    },
  );

  it('gives a root of its own a standard environment', () => {
    expect(request('--rootfs', 'dir', 'true')).toMatchObject({ root: '/here/dir', cwd: '/' });
    // HOME is for the guest's own passwd to say.
    expect(Object.keys(request('--rootfs', 'dir', 'true').env!)).toEqual(['PATH']);
  });

  it('tells who gives a part of a CPU what there is', () => {
    expect(() => request('--cpus', '1.5', 'true')).toThrow(
      expect.objectContaining({ field: '--cpus', hint: expect.stringMatching(/--cpus 2;.*--share 1\.5/) }),
    );
  });

  it('takes a list of CPUs for those that are to be its own, and a number for so many', () => {
    const partition = (cpus: object) => ({ cpus, memory: { kind: 'size', bytes: 2 ** 31 }, devices: [] });
    const these = { kind: 'exact', cpus: [4, 5, 6, 9] };
    expect(request('--cpus', '4-6,9', '-m', '2G', 'true')).toMatchObject({ partition: partition(these) });
    expect(request('--dedicated', '--cpus', '4-4', '-m', '2G', 'true')).toMatchObject({
      partition: partition({ kind: 'exact', cpus: [4] }),
    });
    expect(request('--cpus', '4', 'true')).toMatchObject({ cpus: 4 });
    expect(request('--cpus', '4.0', 'true')).toMatchObject({ cpus: 4 });
    expect(request('--cpus', '4', 'true')).not.toHaveProperty('partition');
  });

  it('says nothing of the caller to another user, and only wishes for the working directory', () => {
    expect(request('true')).toMatchObject({ cwd: '/here', cwdOptional: true });
    expect(request('-u', 'postgres:ssl', 'true')).toMatchObject({ user: 'postgres:ssl' });
    expect(request('-u', '7', 'true').env).not.toHaveProperty('HOME');
    expect(request('-u', '7', '-e', 'HOME=/x', 'true').env).toMatchObject({ HOME: '/x' });
    expect(request('-w', 'sub', 'true')).toMatchObject({ cwd: '/here/sub' });
    expect(request('-w', 'sub', 'true')).not.toHaveProperty('cwdOptional');
  });

  it('wants both outputs as one where those of the caller are one file, and no terminal or log keeps them', () => {
    const merged = (...args: string[]) =>
      runRequest(parse('run', run, [...args, 'true']), { ...AROUND, oneOutput: true }).merged;
    expect([merged(), merged('-t'), merged('-d'), request('true').merged]).toEqual([true, ...Array(3)]);
  });

  it('reads sizes, counts, durations and volumes', () => {
    expect(
      request('--cpus', '2', '--memory', '512M', '--ready-timeout', '5s', '-v', './d:/data:ro', '-u', '7', 'true'),
    ).toMatchObject({
      cpus: 2,
      memoryBytes: 512 * 2 ** 20,
      readyTimeoutMs: 5000,
      volumes: [{ source: '/here/d', target: '/data', readOnly: true }],
      user: '7',
    });
  });

  it.each<[string[], RegExp]>([
    [['--cpus', 'abc', 'true'], /--cpus: "abc" is not a whole number/],
    [['--cpus', '0', 'true'], /--cpus: "0"/],
    [['--cpus', '7-4', 'true'], /--cpus: "7-4" is not a list of CPUs: the range 7-4 runs backwards/],
    [['--cpus', '4-', 'true'], /--cpus: "4-" is not a list of CPUs/],
    [['--cpus', '1,1', 'true'], /1 is named twice/],
    [['--cpus', '1-2', '--share', '0.5', 'true'], /--share is a part of shared CPUs/],
    [['--memory', 'lots', 'true'], /--memory: "lots" is not a size/],
    [['-v', 'data', 'true'], /--volume: "data"/],
    [['-v', 'data:/data', 'true'], /--volume/],
    [['-u', '4294967295', 'true'], /--user: "4294967295" is not USER/],
    [['-u', ':5', 'true'], /--user: ":5" is not USER/],
    [['-e', '=x', 'true'], /names no variable/],
    [['--restart', 'always', 'true'], /--restart is for detached/],
    [['--rootfs', '/x', '-w', 'rel', 'true'], /--workdir/],
  ])('refuses %j', (args, message) => {
    expect(() => request(...args)).toThrow(message);
  });

  it.each([
    ['data:/data', 'There are no named volumes.'],
    ['/data', 'There are no named volumes.'],
    ['/a:/b:ro,z', 'Files need no label'],
  ])('says of the volume %s what docker has and we have not', (volume, hint) => {
    expect(() => request('-v', volume, 'true')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining(hint) }),
    );
  });
});

describe('--network', () => {
  it('is refused before the daemon is asked when it is none of them', () => {
    expect(() => parse('run', run, ['--network', 'eggress', 'true'])).toThrow(
      /--network: "eggress" is not one of none, private, egress/,
    );
  });
});
