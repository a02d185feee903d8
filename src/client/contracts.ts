/**
 * The contracts of all routes, from which the client's methods, OpenAPI and docs/api.md are made. The list is written by
 * `node scripts/room-references.ts` from the rooms that have an api.ts.
 */
import { balanceApi } from '../balance/api.ts';
import { channelApi } from '../channel/api.ts';
import { containmentApi } from '../containment/api.ts';
import { daemonApi } from '../daemon/api.ts';
import { doctorApi } from '../doctor/api.ts';
import { evidenceApi } from '../evidence/api.ts';
import { healApi } from '../heal/api.ts';
import { healthApi } from '../health/api.ts';
import { imageApi } from '../image/api.ts';
import { instanceApi } from '../instance/api.ts';
import { kerfApi } from '../kerf/api.ts';
import { poolApi } from '../pool/api.ts';
import { serviceApi } from '../service/api.ts';
import { sriovApi } from '../sriov/api.ts';
import { stackApi } from '../stack/api.ts';
import { telemetryApi } from '../telemetry/api.ts';
import { upgradeApi } from '../upgrade/api.ts';

export const CONTRACTS = [
  balanceApi,
  channelApi,
  containmentApi,
  daemonApi,
  doctorApi,
  evidenceApi,
  healApi,
  healthApi,
  imageApi,
  instanceApi,
  kerfApi,
  poolApi,
  serviceApi,
  sriovApi,
  stackApi,
  telemetryApi,
  upgradeApi,
] as const;
// end of the list

type Each = (typeof CONTRACTS)[number]['routes'];
type Intersection<T> = (T extends unknown ? (each: T) => void : never) extends (all: infer All) => void ? All : never;

/** Every route by the name of the client's method. */
export type Routes = Intersection<Each>;
