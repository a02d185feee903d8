import { expect, it } from 'vitest';
import { insteadOf } from './compose-keys.ts';
import { OPTIONS } from './options.ts';
import { parseStack } from './parse.ts';

const hints = (text: string) => {
  const { problems } = parseStack(text, { directory: '/srv/shop', defaultName: 'shop' });
  const unknown = problems.filter(({ message }) => message.startsWith('there is no option'));
  return Object.fromEntries(unknown.map(({ path, hint }) => [path, hint]));
};

it('says what to write instead of what Compose has', () => {
  const told = hints(`
version: "3"
services:
  web: {image: nginx, ports: ["8080:80"]}
kernels:
  web:
    command: x
    ports: ["8080:80"]
    working_dir: /srv
    memry: 1G
    constructor: 1
    healthcheck: {test: [CMD, x], command: x}
    volumes: [{type: bind, source: ./a, target: /a, read_only: true}]
`);
  expect(told).toMatchObject({
    version: 'Leave it away.',
    'services.web.image': expect.stringContaining('stands below kernels'),
    'services.web.ports': expect.stringContaining('stands below kernels'),
    'kernels.web.ports': 'Write publish: ["8080:80"].',
    'kernels.web.working_dir': 'Write cwd: /srv.',
    'kernels.web.memry': 'Did you mean memory?',
    'kernels.web.constructor': expect.stringContaining('There is driver,'),
    'kernels.web.healthcheck.test': expect.stringContaining('command: curl'),
    'kernels.web.volumes[0].type': expect.stringContaining('source: ./data'),
    'kernels.web.volumes[0].read_only': 'Write readOnly: true.',
  });
});

it('says so of nothing that stack files have', () => {
  const paths = OPTIONS.map(({ path }) => path.replaceAll('*', 'web').replaceAll('[]', '[0]'));
  expect(paths.filter((path) => !path.startsWith('services.') && insteadOf(path) !== undefined)).toEqual([]);
});
