// What one would write without the hub: node:http and better-sqlite3, one durable transaction a request, with the same
// check of the chain's head and of repeated uuids. It authenticates nobody and projects nothing.
import { createServer } from "node:http"
import Database from "better-sqlite3"

const db = new Database(process.argv[2])
db.pragma("journal_mode = WAL")
db.pragma("synchronous = FULL")
db.exec(`CREATE TABLE events (session TEXT NOT NULL, seq INTEGER NOT NULL, uuid TEXT NOT NULL, payload TEXT NOT NULL,
  PRIMARY KEY (session, seq));
  CREATE UNIQUE INDEX events_by_uuid ON events (session, uuid);
  CREATE TABLE heads (session TEXT PRIMARY KEY, seq INTEGER NOT NULL, uuid TEXT)`)
const head = db.prepare("SELECT seq, uuid FROM heads WHERE session = ?")
const known = db.prepare("SELECT seq FROM events WHERE session = ? AND uuid = ?")
const insert = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?)")
const move = db.prepare(
  "INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT (session) DO UPDATE SET seq = excluded.seq, uuid = excluded.uuid"
)

const append = db.transaction((session, last, uuid, text) => {
  const at = head.get(session) ?? { seq: 0, uuid: null }
  if ((last ?? null) !== at.uuid) return { status: 409, head: at.uuid }
  if (known.get(session, uuid) !== undefined) return { status: 200, seq: at.seq }
  insert.run(session, at.seq + 1, uuid, text)
  move.run(session, at.seq + 1, uuid)
  return { status: 200, seq: at.seq + 1 }
})

const server = createServer((request, response) => {
  const chunks = []
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    const text = Buffer.concat(chunks).toString("utf8")
    const { uuid } = JSON.parse(text)
    const session = request.url.slice(request.url.lastIndexOf("/") + 1)
    const outcome = append.immediate(session, request.headers["last-uuid"], uuid, text)
    const body = JSON.stringify({ last_uuid: uuid, sequence_num: outcome.seq })
    response.writeHead(outcome.status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body)
    })
    response.end(body)
  })
})
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`)
})
let from = process.cpuUsage()
process.stdin.on("data", () => {
  const { user, system } = process.cpuUsage(from)
  process.stdout.write(`${JSON.stringify({ cpu: user + system })}\n`)
  from = process.cpuUsage()
})
process.stdin.on("end", () => process.exit(0))
