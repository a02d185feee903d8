/** pk prove containment: injects a fault into one kernel and says what its neighbours noticed. */
import { connect } from '../../client/index.ts';
import { FAULT_NAMES, FAULTS, type FaultName } from '../../containment/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseDuration } from '../../sys/units.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { checkPage, writePage } from '../kit/page-file.ts';
import { interruptible } from '../kit/signals.ts';
import { pageOf } from './picture.ts';
import { reportText } from './text.ts';

export const command: Command = {
  summary: 'show that a fault in one kernel does not reach its neighbours',
  usage: '--victim NAME --neighbours NAME,... [OPTION]...',
  description:
    'Starts clones of these instances, brings about the fault in one, restarts it, and prints what became of the others:\n' +
    'their boot ids, health, errors, work, clocks and latencies before, during and after. The clones are removed again.\n' +
    'Exit code 0: contained, and the victim is well again. 1: not so.\n\n' +
    FAULT_NAMES.map((name) => `  ${name.padEnd(10)}  ${FAULTS[name].summary}`).join('\n'),
  options: {
    victim: { value: 'NAME', complete: 'instance', help: 'in whose kernel the fault is brought about' },
    neighbours: { value: 'NAME,...', complete: 'instance', multiple: true, help: 'what it must not reach' },
    fault: { value: 'FAULT', choices: FAULT_NAMES, help: 'which (default panic)' },
    window: { value: 'TIME', help: 'before the fault, under it and after it, at least (default 5s)' },
    live: { help: 'on the instances themselves: the victim is harmed and restarted' },
    html: { value: 'FILE', complete: 'file', help: 'write a page with latencies over time' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [
    ['pk prove containment --victim web --neighbours db,api', 'a panic of web beside db and api'],
    ['pk prove containment --victim web --neighbours db --fault fork-bomb --html bomb.html', 'with a picture'],
  ],
  async run(invocation) {
    const victim = invocation.value('victim');
    const neighbours = invocation.values('neighbours').flatMap((names) => names.split(',').filter(Boolean));
    if (victim === undefined || neighbours.length === 0) {
      const missing = victim === undefined ? '--victim' : '--neighbours';
      throw new PolykernelError('invalid', `${missing} is missing`, {
        field: missing,
        hint: 'Give one victim and those that it must not reach: --victim web --neighbours db,api.',
      });
    }
    const window = invocation.value('window');
    const request = {
      ...{ victim, neighbours, live: invocation.flag('live') },
      fault: (invocation.value('fault') ?? 'panic') as FaultName,
      ...(window === undefined ? {} : { windowMs: parseDuration(window, '--window') }),
    };
    const html = invocation.value('html');
    await checkPage(html);
    const interrupt = interruptible();
    try {
      const client = await interrupt.unlessInterrupted(connect({ signal: interrupt.signal }));
      const report = await withProgress((say) => client.proveContainment(request, say, interrupt.signal));
      await answer(invocation, report, reportText);
      await writePage(html, () => pageOf(report));
      return report.verdict === 'contained' && report.healed ? 0 : 1;
    } catch (error) {
      if (!interrupt.signal.aborted) throw error;
      process.stderr.write('pk: interrupted; the clones are being removed.\n');
      return interrupt.code();
    } finally {
      interrupt.release();
    }
  },
};
