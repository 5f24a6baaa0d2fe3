// Serves HTTP on a port of its own, then connects once to a peer, while a
// timer fires every 10 ms. Prints the largest gap between two firings.
//   node ticker.js HOST PORT OWN_PORT
'use strict';

const http = require('node:http');
const net = require('node:net');

const [host, port, ownPort] = process.argv.slice(2);
let largest = 0;
let previous;

function tick() {
  const now = performance.now();
  largest = Math.max(largest, now - previous);
  previous = now;
}

function connect() {
  const began = previous = performance.now();
  setInterval(tick, 10);
  const peer = net.connect({ host, port: Number(port) });
  peer.on('error', (err) => {
    console.log(`error ${err.message}`);
    process.exit(1);
  });
  peer.on('connect', () => peer.write('ping\n'));
  peer.on('data', () => {
    console.log(`ok ${Math.round(performance.now() - began)} largest_gap_ms=${Math.round(largest)}`);
    process.exit(0);
  });
}

http.createServer((request, response) => response.end('awake\n')).listen(Number(ownPort), connect);
