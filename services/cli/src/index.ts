// The mirrorstream command.
export { main } from './main.ts';
