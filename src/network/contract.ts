/** What others see of the private network. */
export { PUBLISH_HINT, parsePublishedPort } from './published-port.ts';
