/** What a request amounts to before it is placed, and its form in the API. */
import { totalBytes } from './memory.ts';
import type { CpuRequest, MemoryRequest } from './types.ts';

/** vCPUs of the kernel: a part of shared CPUs gets as many as it needs to use all of it. */
export function vcpusOf(cpus: CpuRequest): number {
  switch (cpus.kind) {
    case 'count':
      return cpus.count;
    case 'exact':
      return cpus.cpus.length;
    case 'shared':
      return Math.ceil(cpus.milliCpus / 1000);
  }
}

export function requestedBytes(memory: MemoryRequest): number {
  return memory.kind === 'size' ? memory.bytes : totalBytes(memory.memory);
}

const count = { type: 'integer', minimum: 0 } as const;
const numbers = { type: 'array', items: { ...count, maximum: 65_535 }, minItems: 1, maxItems: 65_536 } as const;
const nodeOrNull = { type: ['integer', 'null'], minimum: 0, maximum: 65_535 } as const;
const pciAddress = {
  type: 'string',
  pattern: '^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$',
  'x-hint': 'Give a PCI address such as 0000:3b:00.0.',
} as const;
const hugePageBytes = {
  type: ['integer', 'null'],
  minimum: 4096,
  description: 'Bytes of a huge page; null = ordinary pages',
} as const;

const cpuRequestSchema = {
  anyOf: [
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'count', 'numa', 'smt', 'cache', 'near'],
      properties: {
        kind: { enum: ['count'] },
        count: { type: 'integer', minimum: 1, maximum: 65_536 },
        numa: nodeOrNull,
        smt: { enum: ['whole-core', 'any'] },
        cache: { enum: ['any', 'shared-l3', 'spread'] },
        near: { ...pciAddress, type: ['string', 'null'] },
      },
    },
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'cpus'],
      properties: { kind: { enum: ['exact'] }, cpus: numbers },
    },
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'milliCpus', 'weight'],
      properties: {
        kind: { enum: ['shared'] },
        milliCpus: { type: 'integer', minimum: 1, maximum: 65_536_000 },
        weight: { type: 'integer', minimum: 1, maximum: 10_000 },
      },
    },
  ],
} as const;

export const nodeMemorySchema = {
  type: 'array',
  minItems: 1,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['node', 'bytes'],
    properties: { node: { ...count, maximum: 65_535 }, bytes: { type: 'integer', minimum: 1 } },
  },
} as const;

const memoryRequestSchema = {
  anyOf: [
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'bytes', 'node', 'hugePageBytes'],
      properties: { kind: { enum: ['size'] }, bytes: { type: 'integer', minimum: 1 }, node: nodeOrNull, hugePageBytes },
    },
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'memory', 'hugePageBytes'],
      properties: { kind: { enum: ['nodes'] }, memory: nodeMemorySchema, hugePageBytes },
    },
  ],
} as const;

const deviceRequestSchema = {
  anyOf: [
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'address'],
      properties: { kind: { enum: ['address'] }, address: pciAddress },
    },
    {
      type: 'object',
      additionalProperties: false,
      required: ['kind', 'class', 'count', 'function'],
      properties: {
        kind: { enum: ['class'] },
        class: { enum: ['network', 'nvme', 'storage', 'gpu', 'accelerator', 'usb'] },
        count: { type: 'integer', minimum: 1, maximum: 4096 },
        function: { enum: ['any', 'virtual', 'physical'] },
      },
    },
  ],
} as const;

/** A PartitionRequest as JSON Schema: the API's contract. */
export const partitionRequestSchema = {
  title: 'PartitionRequest',
  type: 'object',
  additionalProperties: false,
  required: ['cpus', 'memory', 'devices'],
  properties: {
    cpus: cpuRequestSchema,
    memory: memoryRequestSchema,
    devices: { type: 'array', items: deviceRequestSchema, maxItems: 4096 },
  },
} as const;
