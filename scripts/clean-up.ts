/**
 * Does `work`, then `cleanUp`, whatever became of it. After SIGINT, SIGTERM or SIGHUP the work is not waited for, and the program ends
 * with 130; another signal does not end the clean-up.
 */
export async function thenCleanUp<T>(work: () => Promise<T>, cleanUp: () => Promise<void>): Promise<T> {
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
    reject(new Error('interrupted'));
  };
  for (const name of names) process.on(name, interrupt);
  try {
    return await Promise.race([work(), interrupted]);
  } finally {
    await cleanUp();
    for (const name of names) process.off(name, interrupt);
    if (isInterrupted) process.exit(130);
  }
}
