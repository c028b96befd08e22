// What one would write in an afternoon without the hub: node:http and better-sqlite3, prepared statements, appends that wait
// at the same moment in one durable transaction (group commit), heads in memory, the check of the chain's head. It
// authenticates nobody and projects nothing. `PUT /s/<n>` appends, `GET /s/<n>?after=<seq>` answers a page of 1,000.
import { createServer } from "node:http"
import Database from "better-sqlite3"
import { tellCpu } from "./tell-cpu.mjs"

/** Entries of one session lie side by side: its number and the entry's position are the key. */
const SPAN = 2 ** 24
const PAGE = 1000

const db = new Database(process.argv[2])
for (const pragma of [
  "journal_mode = WAL",
  "synchronous = FULL",
  "wal_autocheckpoint = 4000",
  "cache_size = -65536"
])
  db.pragma(pragma)
db.exec(`CREATE TABLE IF NOT EXISTS heads (session INTEGER PRIMARY KEY, uuid TEXT NOT NULL, count INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS entries (key INTEGER PRIMARY KEY, uuid TEXT NOT NULL, payload TEXT NOT NULL) STRICT`)
const readHead = db.prepare("SELECT uuid, count FROM heads WHERE session = ?")
const writeHead = db.prepare(
  "INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT (session) DO UPDATE SET uuid = excluded.uuid, count = excluded.count"
)
const insert = db.prepare("INSERT INTO entries VALUES (?, ?, ?)")
const page = db.prepare("SELECT payload FROM entries WHERE key >= ? AND key < ? ORDER BY key LIMIT ?").pluck()

const heads = new Map()
const headOf = (session) => {
  let head = heads.get(session)
  if (head === undefined) {
    head = readHead.get(session) ?? { uuid: "", count: 0 }
    heads.set(session, head)
  }
  return head
}

/** Appends where the writer knows the head; answers the head that it should have known, else nothing. */
const append = ({ session, last, uuid, text }) => {
  const head = headOf(session)
  if (head.uuid === uuid) return undefined
  if (head.uuid !== last) return head.uuid
  insert.run(session * SPAN + head.count, uuid, text)
  head.uuid = uuid
  head.count++
  writeHead.run(session, uuid, head.count)
  return undefined
}
const commit = db.transaction((batch) => batch.map(append))

let waiting = []
const flush = () => {
  const batch = waiting
  waiting = []
  const outcomes = commit.immediate(batch)
  for (const [index, { answer }] of batch.entries()) answer(outcomes[index])
}
const enqueue = (request) => {
  if (waiting.push(request) === 1) setImmediate(flush)
}

const reply = (response, status, body, headers = {}) => {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    ...headers
  })
  response.end(body)
}

const server = createServer((request, response) => {
  const [path, query] = request.url.split("?")
  const session = Number(path.slice(path.lastIndexOf("/") + 1))
  if (request.method === "GET") {
    const from = session * SPAN + Number(new URLSearchParams(query).get("after") ?? 0)
    reply(response, 200, `[${page.all(from, (session + 1) * SPAN, PAGE).join(",")}]`)
    return
  }
  const chunks = []
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    const text = (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)).toString("utf8")
    const { uuid } = JSON.parse(text)
    enqueue({
      session,
      last: request.headers["last-uuid"] ?? "",
      uuid,
      text,
      answer: (head) =>
        head === undefined
          ? reply(response, 200, `{"last_uuid":"${uuid}"}`)
          : reply(response, 409, "", { "x-last-uuid": head })
    })
  })
})
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`)
})
tellCpu()
