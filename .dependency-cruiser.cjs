/** Who may import whom, by role. ARCHITECTURE.md draws it. Types count as code does. */
const { readdirSync } = require('node:fs');

const faces = ['cli'];
const pure = ['ledger', 'topology', 'pci', 'ring', 'devicetree'];
const floor = ['core', 'sys'];
// Every other room of src is a capability.
const others = [...faces, 'client', 'daemon', 'driver', 'guest', ...pure, ...floor];
const capabilities = readdirSync(`${__dirname}/src`).filter((room) => !others.includes(room));

const rooms = (names) => `^src/(${names.join('|')})/`;
/** What a room shows to others: its code, and its part of the API. */
const contracts = '^src/[a-z]+/(contract|index|api)[.]ts$';
/** What a room gives to stack files and moves: its steps among them. For the rooms that put such together. */
const stackParts = '^src/[a-z]+/(stack|steps|size)[.]ts$';
// What tests of one room take of others is no arrow of the product.
const rule = (from, to, comment, more = {}) => ({
  name: `${from.join('-')}`.slice(0, 60),
  severity: 'error',
  comment,
  from: { path: rooms(from), pathNot: '[.]test[.]ts$' },
  to: { path: '^src/', pathNot: [rooms(to), ...(more.also ?? [])], ...more.to },
});

module.exports = {
  forbidden: [
    rule(['sys'], ['sys'], 'the floor knows nobody'),
    rule(['core'], floor, 'mechanisms know no capability'),
    rule(pure, [...pure, ...floor], 'the machine as data'),
    rule(['guest'], ['guest', ...pure, ...floor], 'frames and boot know no capability'),
    rule(['driver'], ['driver', 'guest', 'image', ...pure, ...floor], 'how a kernel is run'),
    ...capabilities.map((name) => ({
      ...rule([name], [name, 'driver', 'guest', ...pure, ...floor], 'capabilities see contracts of each other', {
        also: ['stack', 'balance', 'heal', 'standby', 'upgrade'].includes(name) ? [contracts, stackParts] : [contracts],
      }),
    })),
    {
      name: 'policies-are-pure',
      severity: 'error',
      comment:
        'a policy is a function of what it is shown: it knows words, and neither clock, nor files, nor who carries it out',
      from: { path: '^src/[a-z]+/policy/', pathNot: '[.]test[.]ts$' },
      to: { pathNot: '^src/[a-z]+/(policy/|types[.]ts$)' },
    },
    {
      name: 'nobody-above',
      severity: 'error',
      comment: 'nobody looks up to the daemon and the faces',
      from: { path: '^src/', pathNot: rooms([...faces, 'client', 'daemon']) },
      to: { path: rooms([...faces, 'client', 'daemon']), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'faces-only-through-client',
      severity: 'error',
      comment: 'faces speak to the API through the client; they share types and pure tables with the rest',
      from: { path: rooms(faces) },
      to: {
        path: '^src/(daemon|instance|driver|guest|image)/',
        // Light ones that commands need before they ask anybody.
        pathNot: '^src/(instance/(name|fields)|driver/registry)[.]ts$',
        dependencyTypesNot: ['type-only'],
      },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'cli-kit-knows-no-noun',
      severity: 'error',
      comment: 'what all commands share asks none of them; index.json and names.json tell what they say of themselves',
      from: { path: '^src/cli/kit/', pathNot: '[.]test[.]ts$' },
      to: { path: '^src/cli/', pathNot: '^src/cli/(kit/|(index|names)[.]json$)' },
    },
    {
      name: 'not-to-dev-dep',
      severity: 'error',
      from: { path: '^src/', pathNot: '[.]test[.]ts$' },
      to: { dependencyTypes: ['npm-dev'], pathNot: '@types/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.json'] },
  },
};
