/** The one client of a foreground instance: told what its kernel does, given its workload, and the end of both. */
import type { GuestProcess } from '../guest/index.ts';
import type { InstanceExit } from './spec.ts';

export class Foreground {
  /** Resolves when the workload was handed to the guest; never if the kernel does not get that far. */
  readonly process: Promise<GuestProcess>;
  /** How it ended, for `pk run` to end with. Never rejects. */
  readonly ended: Promise<InstanceExit>;
  /** The client is gone. */
  hasLeft = false;
  readonly #onLeave: () => void;
  readonly #onPhase: (text: string) => void;
  #resolveProcess!: (process: GuestProcess) => void;
  #resolveEnded!: (exit: InstanceExit) => void;

  constructor(onPhase: (text: string) => void, leave: () => void) {
    this.#onPhase = onPhase;
    this.#onLeave = leave;
    this.process = new Promise((resolve) => {
      this.#resolveProcess = resolve;
    });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
  }

  /** The client goes. Ends the instance unless it has ended. */
  leave(): void {
    this.hasLeft = true;
    this.#onLeave();
  }
  phase(text: string): void {
    this.#onPhase(text);
  }
  begun(process: GuestProcess): void {
    this.#resolveProcess(process);
  }
  end(exit: InstanceExit): void {
    this.#resolveEnded(exit);
  }
}
