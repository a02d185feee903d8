/** Imports go only downwards, as ARCHITECTURE.md draws it. Each layer may use those after it in the list. */
const layers = [
  'cli',
  'client',
  'api',
  'daemon',
  'stack',
  'instance',
  'driver',
  'host',
  'channel',
  'service',
  'image',
  'guest',
  'ledger',
  'topology',
  'ring',
  'telemetry',
  'core',
  'sys',
];

// The daemon is the composition root: it mounts the API's routes, and nothing else looks upwards.
const exceptions = { daemon: ['api'] };
// Types cross freely towards the contract they describe; code does not.
const upward = layers.flatMap((from, index) =>
  layers
    .slice(0, index)
    .filter((to) => !(exceptions[from] ?? []).includes(to))
    .map((to) => ({
      name: `${from}-not-to-${to}`,
      severity: 'error',
      comment: 'imports go downwards only',
      from: { path: `^src/${from}/` },
      to: { path: `^src/${to}/`, dependencyTypesNot: ['type-only'] },
    })),
);

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'faces-only-through-client',
      severity: 'error',
      comment:
        'people-facing code speaks to the API through the client; it shares only types and pure tables with the rest',
      from: { path: '^src/cli/' },
      to: { path: '^src/(api|daemon|instance|driver|guest|image)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'cli-kit-knows-no-noun',
      severity: 'error',
      comment: 'what all commands share asks none of them; index.json tells what they say of themselves',
      from: { path: '^src/cli/kit/', pathNot: '[.]test[.]ts$' },
      to: { path: '^src/cli/', pathNot: '^src/cli/(kit/|index[.]json$)' },
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
