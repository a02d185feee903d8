/** What comes of each frame that a guest sends. */
import type { Answers } from './answers.ts';
import type { RungBells } from './bells.ts';
import type { LineWriter } from './line.ts';
import { exitOf, guestText, TROUBLES, type Trouble } from './messages.ts';
import type { Poweroff } from './poweroff.ts';
import { Flag, type Frame, MAX_CHANNELS, ToHost } from './protocol.ts';
import type { Sessions } from './sessions.ts';
import type { TimeQuestion } from './wall-clock.ts';
import type { FileWatch } from './watch.ts';

/** What frames of one guest are about. */
export interface Hearers {
  line: LineWriter;
  sessions: Sessions;
  answers: Answers;
  watch: FileWatch;
  time: TimeQuestion;
  rung: RungBells;
  poweroff: Poweroff;
  /** So many bytes were output of a session that is not held. */
  onStray(bytes: number): void;
  onBootId(bootId: string): void;
  onTrouble(trouble: Trouble): void;
}

/** False when the frame breaks a rule. Frames of sessions given up are still under way for a while and are no fault. */
export function hear({ type, flags, session, payload }: Frame, of: Hearers): boolean {
  const { line, sessions, answers, watch, time, rung, poweroff } = of;
  const process = sessions.get(session);
  switch (type) {
    case ToHost.ack:
      return payload.length === 4 && line.ack(payload.readUInt32LE());
    case ToHost.stdout:
    case ToHost.stderr: {
      const isShared = (flags & Flag.memory) !== 0;
      const data = isShared ? line.take(payload, process !== undefined) : payload;
      if (data === undefined) return false;
      if (process !== undefined)
        return process.output(type === ToHost.stdout ? 'stdout' : 'stderr', data, (flags & Flag.eof) !== 0);
      of.onStray(isShared ? payload.readUInt32LE() : data.length);
      return true;
    }
    case ToHost.credit:
      return payload.length === 4 && (process?.credit(payload.readUInt32LE()) ?? true);
    case ToHost.started:
      // Without the errno of the directory from agents of Polykernel 0.1.
      if (payload.length !== 8 && payload.length !== 4) return false;
      process?.markStarted(payload.readUInt32LE(), payload.length === 8 && payload.readUInt32LE(4) !== 0);
      return true;
    case ToHost.exited:
      if (payload.length < 8) return false;
      process?.finish(exitOf(payload.readUInt32LE(), payload.readUInt32LE(4), guestText(payload.subarray(8))));
      return true;
    case ToHost.result: {
      const answer = answers.receive(session, payload);
      if (typeof answer === 'string') of.onBootId(answer);
      return answer !== false;
    }
    case ToHost.snapshot:
      return watch.receive(payload, flags);
    case ToHost.goodbye:
      poweroff.done();
      return true;
    case ToHost.time:
      return time.receive(session, payload);
    case ToHost.bell:
      if (session >= MAX_CHANNELS) return false;
      rung.add(session);
      return true;
    case ToHost.trouble: {
      const kind = TROUBLES[session];
      if (kind === undefined || payload.length < 4) return false;
      of.onTrouble({ kind, count: payload.readUInt32LE(), text: guestText(payload.subarray(4)) });
      return true;
    }
    default:
      return false;
  }
}
