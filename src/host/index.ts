export * from './acts.ts';
export { type HostFiles, hostFiles } from './files.ts';
export { type GroupSettings, type GroupState, InstanceGroups } from './instance-groups.ts';
export { KeptNamespace } from './kept-namespace.ts';
export { resolvConf } from './nameservers.ts';
export { NamedNamespace, type NetworkNamespace } from './namespace.ts';
export { HostNetwork, type NetworkPort, networkObstacle, tapObstacle } from './network.ts';
export { type PoolLease, poolLease } from './pool-lease.ts';
export { Uplink } from './uplink.ts';
