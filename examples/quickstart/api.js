// api: connects to kv once, at its start, then serves HTTP on port 8080.
//   GET /greeting  the value of the key "greeting"
//   GET /beats     the value of the key "beats"

'use strict';

const http = require('node:http');
const net = require('node:net');
const readline = require('node:readline');

const PORT = 8080;

const kv = net.connect({ host: 'kv', port: 7000 });
const waiting = []; // one callback for each request that kv has not answered yet

kv.on('connect', () => {
  console.log('connected to kv');
  http.createServer(serve).listen(PORT, () => console.log(`listening on port ${PORT}`));
});
kv.on('error', (err) => {
  console.error(`kv: ${err.message}`);
  process.exit(1);
});
kv.on('close', () => process.exit(1));

readline.createInterface({ input: kv }).on('line', (line) => waiting.shift()(line));

function serve(request, response) {
  const key = request.url.slice(1);
  if (key !== 'greeting' && key !== 'beats') {
    response.writeHead(404).end();
    return;
  }
  waiting.push((value) => response.end(`${value}\n`));
  kv.write(`GET ${key}\n`);
}
