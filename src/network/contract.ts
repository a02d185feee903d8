/** What others see of the private network. */
export {
  addressProblem,
  canonicalAddress,
  MOST_PORTS,
  PUBLISH_FORM,
  PUBLISH_HINT,
  parsePublished,
} from './published-port.ts';
