/** Which ports of this machine instances publish: the ones that may be any are chosen, and none is anybody else's. */
import { Mutex } from '../core/mutex.ts';
import type { InstanceRecord, PublishedPort } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { asBefore, withFreePorts } from './free-port.ts';
import { hostText, meets } from './published-port.ts';

type Publishing = Pick<InstanceRecord, 'id' | 'spec'>;

export class HostPorts {
  readonly #choosing = new Mutex();
  /** By id: ports of instances that are not recorded yet. */
  readonly #chosen = new Map<string, readonly PublishedPort[]>();

  /**
   * Chooses the ports that may be any, of a new instance or of one that has had those of `before`: nobody else is given them. Rejects as
   * withFreePorts().
   */
  async choose(
    { id, spec }: Publishing,
    before: readonly PublishedPort[],
    members: () => readonly Publishing[],
  ): Promise<void> {
    // Of a change that was refused.
    this.#chosen.delete(id);
    if (spec.publish.every(({ hostPort }) => hostPort !== 0)) return;
    await this.#choosing.run(async () => {
      const taken = [...members().map((member) => member.spec.publish), ...this.#chosen.values()].flat();
      this.#chosen.set(id, await withFreePorts(asBefore(spec.publish, before), taken));
    });
  }

  /** What the instance publishes, now that its ports are chosen. */
  of({ id, spec }: Publishing): readonly PublishedPort[] {
    const chosen = this.#chosen.get(id);
    this.#chosen.delete(id);
    return chosen ?? spec.publish;
  }

  forget(id: string): void {
    this.#chosen.delete(id);
  }
}

/** Throws `invalid` for a port that is published twice, and `conflict` for one of another's. */
export function checkPublished(publish: readonly PublishedPort[], others: readonly Pick<Publishing, 'spec'>[]): void {
  const twice = publish.find((port, index) => publish.some((each, at) => at < index && meets(each, port)));
  if (twice !== undefined) {
    throw new PolykernelError('invalid', `${hostText(twice)}/${twice.protocol} is published twice`, {
      field: 'publish',
      value: twice.hostPort,
      hint: 'Lead one port to it, or use two.',
    });
  }
  for (const member of others) {
    const clash = member.spec.publish.find((theirs) => publish.some((each) => meets(each, theirs)));
    if (clash !== undefined) {
      const port = `${clash.hostPort}/${clash.protocol}`;
      throw new PolykernelError('conflict', `port ${port} is published by ${member.spec.name} already`, {
        field: 'publish',
        value: clash.hostPort,
        hint: 'Choose another port, or remove that instance.',
      });
    }
  }
}
