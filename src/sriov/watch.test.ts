import { expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { noSysfs } from './sysfs.ts';
import { FunctionWatch } from './watch.ts';

const PF = '0000:3b:00.0';

it('tells errors that were reported and links that lost or regained speed, of functions that matter, and looks at none else', async () => {
  const files: Record<string, string[]> = {
    current_link_speed: ['16.0 GT/s PCIe'],
    current_link_width: ['4'],
    aer_dev_correctable: ['RxErr 5', 'TOTAL_ERR_COR 5'],
    aer_dev_nonfatal: ['DLP 2', 'TOTAL_ERR_NONFATAL 2'],
  };
  const clock = new ManualClock();
  let watched: string[] = [];
  let looks = 0;
  const told: string[] = [];
  const watch = new FunctionWatch({
    sysfs: {
      ...noSysfs,
      async lines(path) {
        looks += 1;
        return files[path.split('/').at(-1)!] ?? [];
      },
    },
    clock,
    watched: () => watched,
    tell: (type, address, message) => void told.push(`${type} ${address} ${message}`),
  });
  const round = async () => {
    clock.advance(30_000);
    await new Promise((resolve) => setImmediate(resolve));
  };
  watch.begin();
  await round();
  expect(looks).toBe(0);
  watched = [PF, PF];
  watch.begin();
  await round();
  // What was so before is no news.
  expect([looks, told]).toEqual([7, []]);
  expect(watch.all()).toMatchObject([{ address: PF, health: { errors: { correctable: 5, nonfatal: 2 } } }]);
  files.aer_dev_correctable = ['TOTAL_ERR_COR 9'];
  await round();
  expect(told).toEqual([]);
  Object.assign(files, { aer_dev_nonfatal: ['TOTAL_ERR_NONFATAL 3'], current_link_speed: ['2.5 GT/s PCIe'] });
  await round();
  expect(told.splice(0)).toEqual([
    `function-errors ${PF} it reported errors, in all: 3 nonfatal, 9 correctable`,
    `link-degraded ${PF} its link is 2.5 GT/s x4, and was 16 GT/s x4`,
  ]);
  files.current_link_speed = ['16.0 GT/s PCIe'];
  await round();
  expect(told.splice(0)).toEqual([`link-restored ${PF} its link is 16 GT/s x4, and was 2.5 GT/s x4`]);
  watched = [];
  await round();
  const before = looks;
  await round();
  expect([looks, watch.all()]).toEqual([before, []]);
});
