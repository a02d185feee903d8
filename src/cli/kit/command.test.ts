import { describe, expect, it } from 'vitest';
import { command as exec } from '../instance/exec.ts';
import { command as ps } from '../instance/ps.ts';
import { command as run } from '../instance/run.ts';
import { command as top } from '../instance/top.ts';
import { command as enable } from '../sriov/enable.ts';
import { type Command, parse } from './command.ts';

describe('parse', () => {
  it.each<[string[], string[]]>([
    [
      ['--', 'uname', '-a'],
      ['uname', '-a'],
    ],
    [
      ['uname', '-a'],
      ['uname', '-a'],
    ],
    [
      ['--cpus', '2', 'sh', '-c', 'echo', '--', 'x'],
      ['sh', '-c', 'echo', '--', 'x'],
    ],
    [['-d', '--name', 'web', '--', '--odd'], ['--odd']],
  ])('leaves the command of the guest alone: %j', (args, command) => {
    expect(parse('run', run, args).positionals).toEqual(command);
  });

  it.each([
    ['70000', 'from 1 to 65535'],
    ['0', 'from 1 to 65535'],
    ['-1', 'from 1 to 65535'],
    ['1.5', 'from 1 to 65535'],
  ])('names the option and its range for %s', (text, range) => {
    expect(() => parse('sriov enable', enable, [`--vfs=${text}`, '3b:00.0']).integer('vfs', 1, 65_535)).toThrow(
      expect.objectContaining({ field: '--vfs', value: text, message: expect.stringContaining(range) }),
    );
  });

  it('takes the name before the command of exec', () => {
    const invocation = parse('exec', exec, ['-it', 'web', 'ls', '-l']);
    expect(invocation.positionals).toEqual(['web', 'ls', '-l']);
    expect([invocation.flag('interactive'), invocation.flag('tty')]).toEqual([true, true]);
  });

  it('leaves alone what looks like an option of ours behind the first word, and takes flags with true and false', () => {
    const words = ['--rm=true', '--detach=false', '-e', 'A=1', 'sh', '-c', 'echo', '--name', 'x', '-h'];
    const invocation = parse('run', run, words);
    expect(invocation.positionals).toEqual(words.slice(4));
    expect([invocation.flag('rm'), invocation.flag('detach')]).toEqual([true, false]);
  });

  it('leaves to ps what comes after the name of top', () => {
    const invocation = parse('top', top, ['--interval', '2s', 'web', '-o', 'pid,args', '--once']);
    expect(invocation.positionals).toEqual(['web', '-o', 'pid,args', '--once']);
    expect([invocation.value('interval'), invocation.flag('once')]).toEqual(['2s', false]);
  });

  it.each<[string, Command, string[], RegExp]>([
    ['run', run, ['--cpu', '2', 'true'], /--cpu; did you mean --cpus\?/],
    ['run', run, ['--driver', 'warp', 'true'], /"warp" is not one of auto, uml, qemu/],
    ['run', run, ['--name'], /--name wants a value/],
    ['run', run, [], /an argument is missing: usage is pk run/],
    ['ps', ps, ['--all=yes'], /takes no value/],
    ['ps', ps, ['web'], /"web" is one argument too many/],
  ])('%s refuses %#', (name, command, args, message) => {
    expect(() => parse(name, command, args)).toThrow(message);
  });
});
