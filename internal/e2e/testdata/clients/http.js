// Makes one HTTP request.
//   node http.js HOST PORT
'use strict';

const http = require('node:http');

const [host, port] = process.argv.slice(2);
const began = performance.now();
const took = () => Math.round(performance.now() - began);

function fail(text) {
  console.log(`error ${text} after=${took()}`);
  process.exit(1);
}

http.get({ host, port, path: '/' }, (response) => {
  let body = '';
  response.on('data', (data) => { body += data; });
  response.on('end', () => {
    if (response.statusCode !== 200 || body !== 'pong\n') fail(`answer ${response.statusCode} ${body}`);
    console.log(`ok ${took()}`);
  });
}).on('error', (err) => fail(err.message));
