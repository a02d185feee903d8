/**
 * Why a request has no place, to the core, byte and function, and what would make one. CPUs, memory and devices limit each
 * other only in price, never in possibility, so the first of them that is short is the reason.
 */
import type { Partition } from '../types.ts';
import { freeOfClass, isOfClass, whyNotDevice } from './allot.ts';
import type { Need } from './choices.ts';
import type { Owners, Refusal } from './refusal-types.ts';
import { cpuRefusal } from './refused-cpus.ts';
import type { Room } from './room.ts';
import { counted, exactBytes, listText, sentence, sizeLike } from './words.ts';

/** `room` is what `owners` leave; `moving` names those whose moving would make a place. */
export function refusalOf(room: Room, need: Need, owners: Owners, moving: readonly string[]): Refusal {
  const { held } = need;
  const refusal =
    (held.cpus === null ? cpuRefusal(room, need.request.cpus, owners) : null) ??
    (held.memory === null ? memoryRefusal(room, need, owners) : null) ??
    (held.devices === null ? deviceRefusal(room, need) : null);
  if (refusal === null) return { field: 'cpus', message: 'no place was found', hint: 'Plan it alone.' };
  if (moving.length === 0) return refusal;
  const names = moving.length > 4 ? [...moving.slice(0, 3), `${moving.length - 3} more`] : moving;
  const also = `Moving ${listText(names)} would also make room; what runs stays unless told to move.`;
  return { ...refusal, hint: `${refusal.hint} ${also}` };
}

function memoryRefusal(room: Room, { request: { memory } }: Need, owners: Owners): Refusal | null {
  const { site } = room;
  const { hugePageBytes } = memory;
  const page = hugePageBytes ?? site.topology.pageBytes;
  const what = hugePageBytes === null ? '' : ` in ${exactBytes(hugePageBytes)} pages`;
  const parts = memory.kind === 'nodes' ? memory.memory : [{ node: memory.node, bytes: memory.bytes }];
  for (const [index, { node, bytes }] of parts.entries()) {
    const field = memory.kind === 'nodes' ? `memory.${index}` : 'memory';
    if (bytes % page !== 0) {
      const up = Math.ceil(bytes / page) * page;
      return {
        field,
        message: `${bytes} bytes are not whole pages of ${exactBytes(page)}`,
        hint: `Ask for ${exactBytes(up - page)} or ${exactBytes(up)}.`,
      };
    }
    if (node !== null && !site.nodes.includes(node)) {
      return { field, message: `there is no node ${node}`, hint: `The nodes are ${listText(site.nodes.map(String))}.` };
    }
    const nodes = node === null ? site.nodes.map((_, each) => each) : [site.nodes.indexOf(node)];
    const free = nodes.reduce((sum, each) => sum + room.freeBytes(each, hugePageBytes), 0);
    if (free >= bytes) continue;
    const where = node === null ? '' : ` on node ${node}`;
    const message = `needs ${sizeLike(bytes, bytes)}${what}${where}; ${sizeLike(free, bytes)} is free (short by ${exactBytes(bytes - free)})`;
    const holds = Object.keys(owners)
      .map((name) => [name, owned(owners[name]!, node, hugePageBytes)] as const)
      .filter(([, has]) => has >= bytes - free)
      .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
    const elsewhere = memory.kind === 'size' && node !== null && total(room, hugePageBytes) >= bytes;
    const ways = [
      ...holds.slice(0, 1).map(([name, has]) => `release ${name}, which has ${exactBytes(has)} there`),
      ...(elsewhere ? ['allow any node'] : []),
      ...(free > 0 ? [`ask for at most ${exactBytes(free)}`] : []),
      ...(holds.length === 0 && !elsewhere
        ? [hugePageBytes === null ? 'grow the pool (pk pool grow --memory SIZE)' : 'reserve more huge pages']
        : []),
    ];
    return { field, message, hint: sentence(ways) };
  }
  return null;
}

function total(room: Room, hugePageBytes: number | null): number {
  return room.site.nodes.reduce((sum, _, node) => sum + room.freeBytes(node, hugePageBytes), 0);
}

function owned(partition: Partition, node: number | null, hugePageBytes: number | null): number {
  if (hugePageBytes !== null && partition.hugePageBytes !== hugePageBytes) return 0;
  return partition.memory.reduce((sum, each) => sum + (node === null || each.node === node ? each.bytes : 0), 0);
}

function deviceRefusal(room: Room, { name, request: { devices } }: Need): Refusal | null {
  const chosen = new Set<string>();
  for (const [index, request] of devices.entries()) {
    const field = `devices.${index}`;
    if (request.kind === 'address') {
      const why = whyNotDevice(room, name, request.address);
      if (why !== null) return { field, ...why };
      chosen.add(request.address);
    }
  }
  for (const [index, request] of devices.entries()) {
    if (request.kind !== 'class') continue;
    const free = freeOfClass(room, name, request).filter((address) => !chosen.has(address));
    for (const address of free.slice(0, request.count)) chosen.add(address);
    if (free.length >= request.count) continue;
    const kind = `${request.function === 'any' ? '' : `${request.function} `}${request.class} function`;
    const holders = new Set(
      [...room.deviceOwner].flatMap(([address, owner]) =>
        isOfClass(room.site.devices.get(address)!, request) ? [owner] : [],
      ),
    );
    return {
      field: `devices.${index}`,
      message: `needs ${counted(request.count, kind)}; ${free.length} of the pool ${free.length === 1 ? 'is' : 'are'} free`,
      hint: sentence([
        ...(holders.size > 0 ? [`release ${listText([...holders].sort().slice(0, 3), 'or')}`] : []),
        'grow the pool (pk pool grow --device ADDRESS)',
      ]),
    };
  }
  return null;
}
