/** The daemon's report on this machine, check by check and driver by driver. */
import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { print, printJson } from '../kit/output.ts';

const MARK = { ok: '✓', warn: '!', missing: '✗' } as const;

export const command: Command = {
  summary: 'what this machine can do, what is missing, how to get it',
  usage: '[OPTION]...',
  description: 'Ends with 1 when no driver can run a kernel here.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk doctor', 'before asking for help']],
  async run(invocation) {
    const client = await connect();
    const report = await withProgress((say) => {
      if (process.stderr.isTTY) say('probing');
      return client.doctor();
    });
    const usable = report.drivers.some(({ availability }) => availability.available);
    if (invocation.flag('json')) {
      await printJson(report);
      return usable ? 0 : 1;
    }
    for (const check of report.checks) {
      await print(`${MARK[check.status]} ${check.id.padEnd(18)} ${check.summary}\n`);
      for (const line of check.hint?.split('\n') ?? []) await print(`${' '.repeat(21)}${line}\n`);
    }
    await print('\n');
    for (const { name, availability, capabilities } of report.drivers) {
      await print(
        `${availability.available ? MARK.ok : MARK.missing} ${`driver ${name}`.padEnd(18)} ${availability.reason}\n`,
      );
      if (availability.hint !== undefined) await print(`${' '.repeat(21)}${availability.hint}\n`);
      if (availability.available) await print(`${' '.repeat(21)}isolation: ${capabilities.isolation}\n`);
    }
    await print(`\n--driver auto picks ${report.auto.driver ?? 'none'}: ${report.auto.reason}\n`);
    return usable ? 0 : 1;
  },
};
