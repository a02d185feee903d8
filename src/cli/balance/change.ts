/** The shape of commands that change sizes: progress, what was done, and Ctrl-C that takes back what is not complete. */
import type { MoveReport } from '../../balance/contract.ts';
import { type Client, connect } from '../../client/index.ts';
import { formatBytes } from '../../sys/units.ts';
import { type Command, type Invocation, JSON_OPTION, type OptionSpec } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { print, printJson } from '../kit/output.ts';
import { interruptible } from '../kit/signals.ts';

export const CHANGE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'dry-run': { help: 'say what would be done, and do nothing' },
  json: JSON_OPTION,
};

type Act = (
  client: Client,
  invocation: Invocation,
  dryRun: boolean,
  say: (text: string) => void,
  signal: AbortSignal,
) => Promise<MoveReport>;

export function change(describe: Omit<Command, 'run'>, act: Act): Command {
  return {
    ...describe,
    options: { ...describe.options, ...CHANGE_OPTIONS },
    async run(invocation) {
      const dryRun = invocation.flag('dry-run');
      const interrupt = interruptible();
      try {
        const client = await interrupt.unlessInterrupted(connect({ signal: interrupt.signal }));
        const report = await withProgress((say) => act(client, invocation, dryRun, say, interrupt.signal));
        if (invocation.flag('json')) await printJson(report);
        else await print(reportText(report, dryRun));
        return 0;
      } catch (error) {
        if (!interrupt.signal.aborted) throw error;
        process.stderr.write('pk: interrupted; what was done is taken back.\n');
        return interrupt.code();
      } finally {
        interrupt.release();
      }
    },
  };
}

function reportText({ steps, sizes }: MoveReport, dryRun: boolean): string {
  if (steps.length === 0) return 'Nothing to do: it is so already.\n';
  if (dryRun) return steps.map(({ text, undo }) => `would ${text}    (undo: ${undo})\n`).join('');
  return sizes
    .map(({ name, before, after }) => {
      const parts = [
        ...(before.cpus === after.cpus ? [] : [`${before.cpus} -> ${after.cpus} CPUs`]),
        ...(before.memoryBytes === after.memoryBytes
          ? []
          : [`${formatBytes(before.memoryBytes)} -> ${formatBytes(after.memoryBytes)}`]),
      ];
      return `${name}: ${parts.join(', ') || 'as it was'}\n`;
    })
    .join('');
}
