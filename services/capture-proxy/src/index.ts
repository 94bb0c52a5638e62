// Forwards every byte between clients and the source, and publishes what it saw.
export { main } from './main.ts';
