/** The services of a stack file. */
import { oneOf, orNull, record, text } from '../core/schema.ts';
import { reasons, type StackSection } from '../core/stack-section.ts';
import type { KernelDefinition } from '../instance/contract.ts';
import { serviceRequestSchema } from './api.ts';
import { readServices } from './parse-services.ts';
import { planServices, type ServicePlan, serviceSteps } from './plan-services.ts';
import { serviceOptions } from './stack-options.ts';
import type { ServiceStep } from './steps.ts';
import type { ServiceRequest, ServiceStatus } from './types.ts';

export type { ServicePlan } from './plan-services.ts';

export const serviceSection: StackSection<KernelDefinition, ServiceRequest, ServiceStatus, ServicePlan, ServiceStep> = {
  ...serviceOptions,
  planned: record<ServicePlan>({
    name: text,
    action: oneOf('create', 'change', 'remove', 'keep'),
    why: reasons,
    service: { ...orNull(serviceRequestSchema), description: 'null = it goes' },
  }),
  read: readServices,
  plan: planServices,
  steps: serviceSteps,
};
