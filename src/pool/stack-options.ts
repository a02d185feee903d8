/** The options of the pool in a stack file. */
import { cpuList, type OptionTable, object, optionsOf, pciAddress, perNode, size } from '../core/stack-options.ts';

export const poolOptions: OptionTable = {
  options: optionsOf([
    ['pool', 'map', 'the pool there is', true, 'what the host gives up', object],
    ['pool.cpus', 'CPU list', 'required', true, 'CPUs of the pool', cpuList],
    ['pool.shared', 'CPU list', 'none', true, 'those of them that several kernels may share', cpuList],
    [
      'pool.memory',
      'size, or map of NUMA node to size',
      "the CPUs' share",
      true,
      'memory of the pool',
      { anyOf: [size, perNode] },
    ],
    [
      'pool.devices',
      'list of PCI addresses',
      'none',
      true,
      'PCI functions of the pool',
      { type: 'array', items: pciAddress },
    ],
  ]),
};
