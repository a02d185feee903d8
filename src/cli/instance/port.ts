/** Which ports of this machine lead to an instance. */
import { connect } from '../../client/index.ts';
import type { PublishedPort } from '../../instance/spec.ts';
import { hostText } from '../../network/published-port.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';

export const command: Command = {
  summary: 'show which ports of this machine lead to an instance',
  usage: 'NAME [PORT[/PROTOCOL]]',
  description:
    'With PORT, a port of the kernel, only where on this machine it is reached; PROTOCOL is tcp unless it is given.',
  options: { json: JSON_OPTION },
  arguments: [1, 2],
  complete: 'instance',
  examples: [
    ['pk port web', 'a line for each: 80/tcp -> 127.0.0.1:8080'],
    ['curl http://$(pk port web 80)/', 'also where the port was chosen (-p 0:80)'],
  ],
  async run(invocation) {
    const [name, asked] = invocation.positionals as [string, string?];
    const { publish } = (await (await connect()).inspect(name)).spec;
    const shown = asked === undefined ? publish : leadingTo(asked, publish, name);
    if (invocation.flag('json')) await printJson(shown);
    else await print(shown.map((port) => `${asked === undefined ? line(port) : hostText(port)}\n`).join(''));
    return 0;
  },
};

const line = (port: PublishedPort): string => `${port.guestPort}/${port.protocol} -> ${hostText(port)}`;

/** Those that lead to a port of the kernel. Throws `invalid` for what is none, `not-found` where none leads there. */
export function leadingTo(asked: string, publish: readonly PublishedPort[], name: string): PublishedPort[] {
  const [, number, protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp))?$/i.exec(asked) ?? [];
  if (number === undefined) {
    throw new PolykernelError('invalid', `${JSON.stringify(asked)} is no port`, {
      field: 'PORT',
      value: asked,
      hint: 'Give a port of the kernel, such as 80 or 53/udp.',
    });
  }
  const found = publish.filter((port) => port.guestPort === Number(number) && port.protocol === protocol.toLowerCase());
  if (found.length > 0) return found;
  const there = [...new Set(publish.map((port) => `${port.guestPort}/${port.protocol}`))].join(', ');
  throw new PolykernelError('not-found', `no port of this machine leads to ${number}/${protocol} of ${name}`, {
    field: 'PORT',
    value: asked,
    hint: there === '' ? `It publishes none: pk run -p ${number}:${number}.` : `It publishes ${there}.`,
  });
}
