// What `mirrorstream help` says.
import { exitCodeText } from './command-line.ts';

export const helpText = `mirrorstream: test a database with real production traffic before your users do.

A proxy in front of PostgreSQL forwards every byte and publishes each transaction to Kafka. Replayers play that log to
mirrors (a new version, a new index, another machine); comparers tell which answers differ, and how.

Usage: mirrorstream <command> [flags]

Commands:
  up              start everything and show what differs: the demo, or --source and --mirror of your own
  status          the numbers of a running stack
  seed            make a mirror equal to the source, and begin its replay exactly behind that
  capture         switch capture off and on, choose the share of sessions and what is kept, while it runs
  mirror          what a mirror plays: exposure, filters, relief when it falls behind, pause; changed while it runs
  findings        what would break on a mirror, what is slower, what is only noise; acknowledge, resolve, suppress
  replay          play a window of the past to a mirror, as a run of its own
  runs            what runs there are, what they came to; delete them
  report          what would break, what is slower, what is noise: one HTML file, or an exit code for a pipeline
  inspect         the whole story of one transaction: statements, timings, both answers row by row
  rerun           one transaction once more on a mirror, rolled back at its end, compared again, with plans
  dead-letter     what could not be decoded: look at it, and try it again after an upgrade
  export, import  a window of the past into a file, and from there into a topic again
  capture-proxy   one service by itself: forward and capture
  replayer        one service by itself: play the log to one mirror
  comparer        one service by itself: classify what differs
  help [command]  this text, or a command's flags
  --version       the version

Start here:
  mirrorstream up                                    the demo, on servers of its own; Ctrl-C ends it
  mirrorstream up --for 30s --json                   the same for a script: one JSON object on stdout
  mirrorstream up --source postgres://db:5432 --mirror candidate=postgres://replayer@pg18:5432
  mirrorstream up --help

${exitCodeText}
`;
