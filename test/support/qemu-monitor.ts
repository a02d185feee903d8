/**
 * A monitor as QEMU 7.2 has it, for what plugs functions: stated from what one said to the same commands (test/kernel/functions.test.ts asks a
 * real one). A device that is taken out is there until the guest has let go of it, and a second order for it is refused meanwhile.
 */
import { Duplex } from 'node:stream';

interface Request {
  execute: string;
  arguments?: Record<string, string>;
  id?: string;
}

export class MonitorModel {
  /** Devices that were plugged in, by their ids, with their places on the bus. */
  readonly plugged = new Map<string, string>();
  readonly leaving = new Set<string>();
  /** Whether the guest lets go when it is asked to. */
  letsGo = true;
  /** Why a device is refused; undefined: it is not. */
  refuses: string | undefined;
  /** Memory and the like, by their ids. */
  readonly objects = new Set<string>();
  readonly said: Request[] = [];

  connect(): Duplex {
    let rest = '';
    const stream = new Duplex({
      read() {},
      write: (chunk: Buffer, _, done) => {
        const lines = (rest + chunk.toString('latin1')).split('\n');
        rest = lines.pop()!;
        for (const line of lines) if (line.startsWith('{')) stream.push(`${this.#answer(JSON.parse(line))}\n`);
        done();
      },
    });
    return stream;
  }

  /** The guest lets go of what it was asked for. */
  let(): void {
    for (const id of this.leaving) this.plugged.delete(id);
    this.leaving.clear();
  }

  #answer(request: Request): string {
    this.said.push(request);
    const { id } = request;
    try {
      return JSON.stringify({ return: this.#execute(request), id });
    } catch (error) {
      const [, kind, desc] = /^(\w+): (.*)$/.exec((error as Error).message)!;
      return JSON.stringify({ error: { class: kind, desc }, id });
    }
  }

  #execute({ execute, arguments: given = {} }: Request): unknown {
    const { id = '', addr = '', path = '' } = given;
    switch (execute) {
      case 'qmp_capabilities':
        return {};
      case 'qom-list':
        return [
          { name: 'type', type: 'string' },
          ...[...(path === '/objects' ? this.objects : this.plugged.keys())].map((name) => ({ name, type: 'child' })),
        ];
      case 'add-fd':
        return { fd: 20, 'fdset-id': 1 };
      case 'remove-fd':
        return {};
      case 'object-add':
        this.objects.add(id);
        return {};
      case 'object-del':
        if (!this.objects.delete(id)) throw new Error(`GenericError: object '${id}' not found`);
        return {};
      case 'query-pci': {
        const machine = [0, 1, 1, 2, 3, 4].map((slot, at) => ({
          bus: 0,
          slot,
          function: at === 2 ? 3 : 0,
          qdev_id: '',
        }));
        const devices = [...this.plugged].map(([name, place]) => ({
          ...{ bus: 0, slot: Number.parseInt(place, 16), function: 0, qdev_id: name },
        }));
        return [{ bus: 0, devices: [...machine, ...devices] }];
      }
      case 'device_add':
        if (this.plugged.has(id)) throw new Error(`GenericError: Duplicate device ID '${id}'`);
        if ([...this.plugged.values()].includes(addr.split('.')[0]!))
          throw new Error('GenericError: PCI: slot not available');
        if (this.refuses !== undefined) throw new Error(`GenericError: ${this.refuses}`);
        this.plugged.set(id, addr.split('.')[0]!);
        return {};
      case 'device_del':
        if (!this.plugged.has(id)) throw new Error(`DeviceNotFound: Device '${id}' not found`);
        if (this.leaving.has(id)) throw new Error(`GenericError: Device ${id} is already in the process of unplug`);
        this.leaving.add(id);
        if (this.letsGo) this.let();
        return {};
      default:
        throw new Error(`CommandNotFound: The command ${execute} has not been found`);
    }
  }
}
