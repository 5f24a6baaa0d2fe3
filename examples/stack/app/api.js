// api: connects to postgres and redis, once, at its start, and serves what they
// hold as JSON. It speaks just as much of both protocols as it needs. Any error
// ends it.
const http = require("node:http");
const net = require("node:net");

// connect resolves to the connection; an error at any time ends the program.
function connect(host, port) {
  return new Promise((resolve) => {
    const conn = net.connect(port, host, () => resolve(conn));
    conn.on("error", (err) => fail(`${host}: ${err.message}`));
    conn.on("end", () => fail(`${host}: closed the connection`));
  });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

// A connection serves one question after the other.
function serialise(ask) {
  let last = Promise.resolve();
  return (question) => (last = last.then(() => ask(question)));
}

// until collects what a connection says, until parse finds an answer in it.
function until(conn, parse) {
  return new Promise((resolve) => {
    let said = Buffer.alloc(0);
    conn.on("data", function take(data) {
      said = Buffer.concat([said, data]);
      const answer = parse(said);
      if (answer === undefined) return;
      conn.off("data", take);
      resolve(answer);
    });
  });
}

// PostgreSQL: messages are a type, a length that counts itself, a body.
function message(type, body) {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), size, body]);
}

// rows returns the first column of each row, when the server is ready for a query.
function rows(said) {
  const found = [];
  for (let at = 0; at + 5 <= said.length; ) {
    const end = at + 1 + said.readUInt32BE(at + 1);
    if (end > said.length) return undefined;
    const type = String.fromCharCode(said[at]);
    const body = said.subarray(at + 5, end);
    if (type === "E") fail(`postgres: ${body.toString().replaceAll("\0", " ")}`);
    if (type === "D") found.push(body.subarray(6, 6 + body.readUInt32BE(2)).toString());
    if (type === "Z") return found;
    at = end;
  }
  return undefined;
}

async function openPostgres() {
  const conn = await connect("postgres", 5432);
  const version = Buffer.from([0, 3, 0, 0]);
  const login = until(conn, rows);
  conn.write(message("", Buffer.concat([version, Buffer.from("user\0postgres\0database\0postgres\0\0")])));
  await login;
  return serialise((query) => {
    const answer = until(conn, rows);
    conn.write(message("Q", Buffer.from(query + "\0")));
    return answer;
  });
}

// number reads an answer of Redis that is one: ":3".
function number(said) {
  const text = said.toString();
  if (!text.endsWith("\r\n")) return undefined;
  if (text[0] !== ":") fail(`redis: ${text}`);
  return Number(text.slice(1));
}

async function openRedis() {
  const conn = await connect("redis", 6379);
  return serialise((key) => {
    const answer = until(conn, number);
    conn.write(`INCR ${key}\r\n`);
    return answer;
  });
}

async function main() {
  const [query, increment] = await Promise.all([openPostgres(), openRedis()]);
  console.log("connected to postgres and redis");
  const server = http.createServer(async (_, response) => {
    const [greeting] = await query("SELECT text FROM greetings");
    const count = await increment("count");
    response.end(JSON.stringify({ greeting, count }) + "\n");
  });
  server.listen(8080, () => console.log("listening on port 8080"));
}

process.on("SIGTERM", () => process.exit(0));
main();
