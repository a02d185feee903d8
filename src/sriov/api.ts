/** PCI functions in the API: how many virtual ones there are, and whose each is. */
import { del, get, long, post, routes } from '../core/route.ts';
import { count, flag, listOf, named, oneOf, orNull, record, request, text, texts } from '../core/schema.ts';
import { type FunctionHealth, type Link, type ReportedErrors, SEVERITIES } from '../pci/health.ts';
import type {
  AssignedFunction,
  AttachedFunction,
  CountReport,
  FunctionsReport,
  Lease,
  LeasedFunction,
  NetworkChange,
  PhysicalFunction,
  PlannedChange,
  VirtualFunction,
} from './contract.ts';
import type { NetworkSettings } from './network-settings.ts';

const lease = {
  owner: { ...text, description: 'Name of the instance' },
  instance: text,
  name: { ...orNull(text), description: 'What the owner calls it' },
  generation: { ...count, description: 'Counts the owners it has had' },
  state: {
    ...oneOf('leased', 'returning', 'failed'),
    description: 'returning: it is being reset. failed: it could not be, and is given to nobody',
  },
  reason: orNull(text),
};
const itself = { address: text, physicalFunction: orNull(text), ...lease };
const leased = named('LeasedFunction', record<LeasedFunction>(itself));
const warnings = { ...texts, description: 'What a person should know, one sentence each' };
const virtual = named(
  'VirtualFunction',
  record<VirtualFunction>({
    index: count,
    address: text,
    driver: orNull(text),
    node: orNull(count),
    iommuGroup: orNull(count),
    lease: orNull(record<Lease>(lease)),
  }),
);
const network = named(
  'NetworkSettings',
  record<NetworkSettings>(
    {
      ...{ mac: text, vlan: count, qos: count, trust: flag, spoofCheck: flag },
      maxRate: { ...count, description: 'Mbit/s; 0 = no bound' },
      minRate: { ...count, description: 'Mbit/s' },
    },
    ['mac', 'vlan', 'qos', 'maxRate', 'minRate', 'trust', 'spoofCheck'],
  ),
);
const amount = { type: 'number', minimum: 0 } as const;
const health = named(
  'FunctionHealth',
  record<FunctionHealth>({
    link: orNull(
      record<Link>({
        speed: { ...amount, description: 'GT/s' },
        width: count,
        mostSpeed: orNull(amount),
        mostWidth: orNull(count),
      }),
    ),
    errors: orNull(
      record<ReportedErrors>({
        ...{ correctable: count, nonfatal: count, fatal: count },
        kinds: listOf(record<ReportedErrors['kinds'][number]>({ severity: oneOf(...SEVERITIES), name: text, count })),
      }),
    ),
  }),
);
const physical = named(
  'PhysicalFunction',
  record<PhysicalFunction>({
    address: text,
    vendor: text,
    device: text,
    class: count,
    driver: orNull(text),
    node: orNull(count),
    most: count,
    wanted: { ...orNull(count), description: 'What is made again after each start of the machine' },
    virtual: listOf(virtual),
    health,
  }),
);
const address = { type: 'string', minLength: 1, maxLength: 64 } as const;

export const sriovApi = routes('functions', {
  functions: get('/v1/functions', {
    summary: 'Functions with virtual ones, and whose each is',
    answer: named('FunctionsReport', record<FunctionsReport>({ physical: listOf(physical), leases: listOf(leased) })),
  }),
  functionPlan: get('/v1/functions/plan', {
    summary: 'What differs from the numbers of virtual functions that are wanted',
    list: 'changes',
    answer: named(
      'FunctionChange',
      record<PlannedChange>({ address: text, now: count, wanted: count, text, obstacle: orNull(text) }),
    ),
  }),
  /** Resolves once all of them are there. */
  setVirtualFunctions: long('/v1/functions/count', {
    summary: 'Make as many virtual functions of one, now and after each start of the machine',
    body: request({ address, count: { type: 'integer', minimum: 0, maximum: 65_535 } }, 'address', 'count'),
    answer: named('CountReport', record<CountReport>({ address: text, before: count, now: count, notes: texts })),
  }),
  assignFunction: post('/v1/functions/leases', {
    summary: 'Give a function to an instance, for its next kernel',
    body: request({ device: address, to: { type: 'string', minLength: 1, maxLength: 63 } }, 'device', 'to'),
    answer: named('AssignedFunction', record<AssignedFunction>({ ...itself, warnings })),
    status: 201,
  }),
  /** Resolves once the guest has seen it. */
  attachFunction: long('/v1/instances/:name/functions', {
    summary: 'Give a function to an instance, and to its kernel at once where one runs',
    body: request({ device: address }, 'device'),
    answer: named(
      'AttachedFunction',
      record<AttachedFunction>({
        ...{ ...itself, warnings },
        running: { ...flag, description: 'false: no kernel runs, the next one gets it' },
      }),
    ),
  }),
  detachFunction: del('/v1/instances/:name/functions/:address', {
    summary: 'Have the kernel of an instance let go of a function, which is reset then and free',
  }),
  setFunctionNetwork: post('/v1/functions/leases/:address/network', {
    summary: 'Give the network of a leased virtual function other settings',
    body: request(
      {
        settings: {
          type: 'array',
          maxItems: 16,
          items: { type: 'string', maxLength: 64 },
          description: 'Such as vlan=100',
        },
        dry: { ...flag, description: 'Only say what would be changed' },
      },
      'settings',
    ),
    answer: named(
      'NetworkChange',
      record<NetworkChange>({
        ...{ address: text, before: network, now: network },
        change: { ...text, description: 'vlan=100 trust=on; empty: it was so already' },
      }),
    ),
  }),
  releaseFunction: del('/v1/functions/leases/:address', {
    summary: 'Take a function back, which is reset before anybody else gets it',
  }),
});
