// Connects once with net.connect and exchanges one line.
//   node connect.js HOST PORT [TIMEOUT_MS]
'use strict';

const net = require('node:net');

const [host, port, timeout] = process.argv.slice(2);
const began = performance.now();
const took = () => Math.round(performance.now() - began);

function fail(text) {
  console.log(`error ${text} after=${took()}`);
  process.exit(1);
}

const socket = net.connect({ host, port: Number(port) });
if (timeout) socket.setTimeout(Number(timeout), () => fail('timed out'));
socket.on('error', (err) => fail(err.message));
socket.on('close', () => fail('closed'));
socket.on('connect', () => socket.write('ping\n'));
socket.on('data', (data) => {
  if (data.toString() !== 'pong\n') fail(`answer ${data}`);
  console.log(`ok ${took()}`);
  process.exit(0);
});
