/** Takes the whole terminal, and gives it back as it was on every way out. */
import { writeSync } from 'node:fs';
import { rawMode } from './signals.ts';

/** The other screen, without a cursor, and without wrapping at the right edge. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l';

export interface FullScreen {
  size(): { rows: number; columns: number };
  /** False while the terminal has not taken what was written before: draw later. */
  ready(): boolean;
  write(text: string): void;
  release(): void;
}

/** `onKeys` gets what was typed, `onChange` is called when all has to be drawn again. */
export function fullScreen(onKeys: (text: string) => void, onChange: () => void): FullScreen {
  const { stdin, stdout } = process;
  const cooked = rawMode('lines');
  const leave = () => {
    try {
      // At once: the process may be ending.
      writeSync(1, LEAVE);
    } catch {
      // The terminal is gone, or takes nothing now.
    }
  };
  const keys = (data: Buffer | string) => onKeys(String(data));
  const again = () => {
    // After a stop (SIGSTOP, fg) the shell has had the terminal.
    if (stdin.isTTY === true) stdin.setRawMode(true);
    stdout.write(ENTER);
    onChange();
  };
  process.once('exit', leave);
  process.on('SIGCONT', again);
  stdout.on('resize', onChange);
  stdin.on('data', keys).resume();
  stdout.write(ENTER);
  return {
    size: () => ({ rows: stdout.rows || 24, columns: stdout.columns || 80 }),
    ready: () => !stdout.writableNeedDrain,
    write: (text) => void stdout.write(text),
    release() {
      process.off('exit', leave);
      process.off('SIGCONT', again);
      stdout.off('resize', onChange);
      stdin.off('data', keys).pause();
      leave();
      cooked();
    },
  };
}
