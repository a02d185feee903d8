import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCreateRequest } from '../instance/schema.ts';
import { PolykernelError } from '../sys/errors.ts';
import { validate } from './validate.ts';

function refusal(action: () => unknown): PolykernelError {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(PolykernelError);
    return error as PolykernelError;
  }
  throw new Error('was not refused');
}

describe('a create request', () => {
  it.each<[object, string, string]>([
    [{}, 'command', 'command is missing'],
    [{ command: 'ls' }, 'command', 'command must be an array, not "ls"'],
    [{ command: [''] }, 'command[0]', 'command[0] is empty'],
    [{ command: ['a', 1] }, 'command[1]', 'command[1] must be a string, not 1'],
    [{ command: ['a\0b'] }, 'command[0]', 'malformed'],
    [{ command: ['a'], cpus: 0 }, 'cpus', 'cpus is 0; the least is 1'],
    [{ command: ['a'], cpus: 1.5 }, 'cpus', 'cpus must be a whole number, not 1.5'],
    [{ command: ['a'], memoryBytes: null }, 'memoryBytes', 'memoryBytes must be a whole number, not null'],
    [{ command: ['a'], driver: 'quemu' }, 'driver', 'not one of auto, uml, qemu'],
    [{ command: ['a'], restart: 'on-failure:0' }, 'restart', 'malformed'],
    [
      { command: ['a'], volumes: [{ source: '/a', target: '/b', readonly: true }] },
      'volumes[0].readonly',
      'not a known field',
    ],
    [{ command: ['a'], volumes: [{ source: '/a', target: '/' }] }, 'volumes[0].target', 'cannot be mounted over'],
    [
      { command: ['a'], volumes: [{ source: '/a', target: '/x/../..' }] },
      'volumes[0].target',
      'cannot be mounted over',
    ],
    [{ command: ['a'], volumes: [{ source: '/a', target: '/proc/x' }] }, 'volumes[0].target', "the guest's own"],
    [{ command: ['a'], volumes: [{ source: '/a', target: '/dev/./' }] }, 'volumes[0].target', "the guest's own"],
    [{ command: ['a'], volumes: [{ source: '/a', target: '/run/pk/bin' }] }, 'volumes[0].target', "the guest's own"],
    [{ command: ['a'], volumes: [{ source: '/a', target: '/var/run//pk' }] }, 'volumes[0].target', "the guest's own"],
    [
      { command: ['a'], volumes: ['/x/y', '/x/y/z', '/x//y/'].map((target) => ({ source: '/a', target })) },
      'volumes[2].target',
      'the place of two volumes',
    ],
    [{ command: ['a'], env: { 'A=B': 'c' } }, 'env.A=B', 'cannot be set'],
    [{ command: ['a'], env: { A: 1 } }, 'env.A', 'env.A must be a string, not 1'],
    [{ command: ['a'], hostname: 'a b' }, 'hostname', 'not a host name'],
    [{ command: Array.from({ length: 4000 }, () => 'x'.repeat(60)) }, 'command', 'the most is'],
  ])('%j is refused at %s', (request, field, message) => {
    const error = refusal(() => checkCreateRequest(request));
    expect(error).toMatchObject({ code: 'invalid', field });
    expect(error.message).toContain(message);
  });

  it('says what was meant', () => {
    expect(refusal(() => checkCreateRequest({ command: ['a'], memoryByte: 1 })).hint).toBe('Did you mean memoryBytes?');
    expect(refusal(() => checkCreateRequest({ command: ['a'], driver: 'quemu' })).hint).toBe('Did you mean qemu?');
    expect(refusal(() => checkCreateRequest({ command: ['a'], zzzzzz: 1 })).hint).toContain(
      'Known fields: name, command',
    );
  });

  it('is refused in bounded words or taken, whatever it is', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        try {
          checkCreateRequest(value);
        } catch (error) {
          expect(error).toBeInstanceOf(PolykernelError);
          expect(JSON.stringify(error).length).toBeLessThan(3000);
        }
      }),
    );
  });

  it('cannot reach a prototype', () => {
    const request = JSON.parse('{"command":["a"],"env":{"__proto__":"x","constructor":"y"}}');
    const { env } = checkCreateRequest(request);
    expect(Object.getPrototypeOf(env)).toBe(Object.prototype);
    expect(Object.keys(env!)).toEqual(['__proto__', 'constructor']);
    expect(refusal(() => checkCreateRequest(JSON.parse('{"command":["a"],"__proto__":{}}'))).field).toBe('__proto__');
  });
});

it('coerces what a query holds', () => {
  const schema = {
    type: 'object',
    additionalProperties: false,
    properties: { n: { type: 'integer' }, b: { type: 'boolean' } },
  } as const;
  expect(validate(schema, { n: '12', b: '1' }, { coerce: true })).toEqual({ n: 12, b: true });
  expect(validate(schema, { b: '' }, { coerce: true })).toEqual({ b: true });
  expect(() => validate(schema, { n: 'twelve' }, { coerce: true })).toThrow('n must be a whole number, not "twelve"');
  expect(() => validate(schema, { n: '12' })).toThrow('n must be a whole number');
});

describe('what only answers are described with', () => {
  const schema = {
    properties: { one: { anyOf: [{ type: 'object', properties: { a: { type: 'integer' } } }, { type: 'null' }] } },
    additionalProperties: true,
  } as const;

  it.each([{ one: null }, { one: { a: 1 } }, { other: { deep: [1] } }])('takes %j as it is', (value) => {
    expect(validate(schema, value)).toEqual(value);
  });

  it('null or something is not anything', () => {
    expect(refusal(() => validate(schema, { one: { a: 'b' } }))).toMatchObject({ field: 'one.a' });
    expect(refusal(() => validate(schema, { one: 1 }))).toMatchObject({ field: 'one' });
  });
});
