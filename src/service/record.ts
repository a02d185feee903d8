import type { TableDefinition } from '../core/table.ts';
import type { ServiceRecord } from './types.ts';

export const serviceTable: TableDefinition<ServiceRecord> = {
  name: 'services',
  nameOf: ({ name }) => name,
  migrations: [],
};
