export * from './acts.ts';
export { type HostFiles, hostFiles } from './files.ts';
export { type GroupSettings, type GroupState, InstanceGroups } from './instance-groups.ts';
export { HostNetwork, type NetworkPort, networkObstacle } from './network.ts';
export { type PoolLease, poolLease } from './pool-lease.ts';
