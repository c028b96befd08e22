// The plainest hub that has the whole way of a message: `POST /msg/<n>` → long poll `GET /poll/<n>` of the agent's side →
// `PUT /reply/<n>` → WebSocket `/ws/<n>`. Messages and replies are durable before anybody hears of them: node:http, ws, and
// better-sqlite3 with group commit. It authenticates nobody, orders nothing and resumes nothing.
import { createServer } from "node:http"
import Database from "better-sqlite3"
import { WebSocketServer } from "ws"
import { tellCpu } from "./tell-cpu.mjs"

const db = new Database(process.argv[2])
for (const pragma of ["journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"])
  db.pragma(pragma)
db.exec("CREATE TABLE entries (key INTEGER PRIMARY KEY, session TEXT NOT NULL, payload TEXT NOT NULL) STRICT")
const insert = db.prepare("INSERT INTO entries (session, payload) VALUES (?, ?)")
const commit = db.transaction((batch) => {
  for (const { session, text } of batch) insert.run(session, text)
})

let waiting = []
const flush = () => {
  const batch = waiting
  waiting = []
  commit.immediate(batch)
  for (const { stored } of batch) stored()
}
const store = (entry) => {
  if (waiting.push(entry) === 1) setImmediate(flush)
}

const polls = new Map()
const messages = new Map()
const viewers = new Map()

const reply = (response, body) => {
  response.writeHead(200, { "content-length": Buffer.byteLength(body) })
  response.end(body)
}

const poll = (session, response) => {
  const next = messages.get(session)?.shift()
  if (next !== undefined) return reply(response, next)
  polls.set(session, response)
}

const server = createServer((request, response) => {
  const [, kind, session] = request.url.split("/")
  if (kind === "poll") return poll(session, response)
  const chunks = []
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    const text = Buffer.concat(chunks).toString("utf8")
    JSON.parse(text)
    const stored = () => {
      reply(response, "{}")
      if (kind === "reply") {
        for (const viewer of viewers.get(session) ?? []) viewer.send(text)
        return
      }
      const asking = polls.get(session)
      polls.delete(session)
      if (asking === undefined) messages.set(session, [...(messages.get(session) ?? []), text])
      else reply(asking, text)
    }
    store({ session, text, stored })
  })
})
server.keepAliveTimeout = 0
server.requestTimeout = 0
new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const session = request.url.split("/")[2]
  viewers.set(session, [...(viewers.get(session) ?? []), socket])
})
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`)
})
tellCpu()
