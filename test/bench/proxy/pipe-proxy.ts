// The yardstick: what Node does when it does nothing but pipe. Prints its port.
import { connect, createServer } from 'node:net';

const sourcePort = Number(process.argv[2]);
const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const source = connect({ port: sourcePort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  client.pipe(source);
  source.pipe(client);
  client.on('error', () => source.destroy());
  source.on('error', () => client.destroy());
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${JSON.stringify(server.address())}\n`));
