// What a service process takes from the outside: environment, standard streams, signals. Tests give their own.

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** To stdout, as it is. */
  readonly print: (text: string) => void;
  /** One line to stderr, for the operator. */
  readonly complain: (line: string) => void;
  /** Where log lines go instead of stderr. */
  readonly log?: (line: string) => void;
  /** SIGTERM and SIGINT, and errors nobody handled. The returned function stops listening. */
  readonly listen: (onSignal: (signal: NodeJS.Signals) => void, onBug: (error: unknown) => void) => () => void;
  readonly exitNow: (code: number) => void;
}

export const systemSurroundings: Surroundings = {
  environment: process.env,
  print: (text) => {
    process.stdout.write(text);
  },
  complain: (line) => {
    process.stderr.write(`${line}\n`);
  },
  listen(onSignal, onBug) {
    // Whoever started us may be gone and its end of the pipe with it: no reason to fall over.
    const onPipeError = (): void => {};
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    process.on('uncaughtException', onBug).on('unhandledRejection', onBug);
    process.stdout.on('error', onPipeError);
    return () => {
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
      process.off('uncaughtException', onBug).off('unhandledRejection', onBug);
      process.stdout.off('error', onPipeError);
    };
  },
  exitNow: (code) => process.exit(code),
};
