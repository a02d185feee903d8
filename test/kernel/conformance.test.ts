import { UmlDriver } from '../../src/driver/uml.ts';
import { ImageStore } from '../../src/image/index.ts';
import { conformance } from '../conformance.ts';
import { hostProcesses } from '../host-processes.ts';

const images = new ImageStore();

conformance('uml', {
  createDriver: () => new UmlDriver(),
  image: () => images.resolve('debian:uml'),
  processesOf: hostProcesses,
});
