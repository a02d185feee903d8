import { expect, it } from 'vitest';
import { errorsText, HEALTH_FILES, healthOf, linkText } from './health.ts';

/** As Linux 6.1 writes them. */
const FILES: Readonly<Record<string, string>> = {
  current_link_speed: '8.0 GT/s PCIe',
  current_link_width: '4',
  max_link_speed: '16.0 GT/s PCIe',
  max_link_width: '4',
  aer_dev_correctable: 'RxErr 2\nBadTLP 0\nBadDLLP 1\nRollover 0\nTimeout 0\nNonFatalErr 0\nTOTAL_ERR_COR 3',
  aer_dev_nonfatal: 'Undefined 0\nDLP 0\nTLP 0\nCmpltTO 0\nTOTAL_ERR_NONFATAL 0',
  aer_dev_fatal: 'Undefined 0\nDLP 1\nTOTAL_ERR_FATAL 1',
};
const read = (files: Readonly<Record<string, string>>) =>
  healthOf(HEALTH_FILES.map((name) => files[name]?.split('\n') ?? []));

it('says how wide and fast a link is, and which errors there were', () => {
  const { link, errors } = read(FILES);
  expect(link).toEqual({ speed: 8, width: 4, mostSpeed: 16, mostWidth: 4 });
  expect(linkText(link!)).toBe('8 GT/s x4 (of 16 GT/s x4)');
  expect(linkText({ ...link!, mostSpeed: 8 })).toBe('8 GT/s x4');
  expect(errors).toEqual({
    ...{ correctable: 3, nonfatal: 0, fatal: 1 },
    kinds: [
      { severity: 'correctable', name: 'RxErr', count: 2 },
      { severity: 'correctable', name: 'BadDLLP', count: 1 },
      { severity: 'fatal', name: 'DLP', count: 1 },
    ],
  });
  expect(errorsText(errors!)).toBe('1 fatal, 3 correctable');
});

it('what is not there, unknown or nonsense is nothing', () => {
  expect(read({})).toEqual({ link: null, errors: null });
  const unknown = { ...FILES, current_link_speed: 'Unknown', max_link_width: '255', aer_dev_fatal: 'x\n\0\nDLP -1' };
  expect(read(unknown)).toMatchObject({ link: null, errors: { fatal: 0 } });
  expect(read({ ...FILES, max_link_width: '255' }).link).toMatchObject({ mostWidth: null });
  expect(read({ current_link_speed: '2.5 GT/s', current_link_width: '0' }).link).toBeNull();
});
