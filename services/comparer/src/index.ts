// The comparer as a command: the CLI runs its main.
export { main } from './main.ts';
