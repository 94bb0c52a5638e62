// Plays envelopes to one mirror and publishes results.
export { main } from './main.ts';
