/** The kernels of a stack file. */
export { storedDefinition } from './definition.ts';
export { readKernels } from './parse-kernels.ts';
export { ACTIVE, type Action, type KernelPlan, kernelSteps, planKernel } from './plan-kernel.ts';
export { kernelOptions } from './stack-options.ts';
