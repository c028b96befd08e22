// One message, all the way: a person's message → the worker's stream → the worker's durable reply → a viewer. Open loop: each
// message has a due time, and its latency counts from then, sent late or not. The hub beside a plain one (`plain-hub.mjs`) in
// the same run, rounds rotated; after each round every message was answered once, in its session.
import { randomUUID } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { Agent, request } from "node:http"
import { tmpdir } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { WebSocket } from "ws"
import { bundle } from "./bundle.mjs"
import { machine, median, rotated } from "./figures.mjs"
import { apiOf } from "./hub-api.mjs"
import { start } from "./process.mjs"

const SESSIONS = (process.env.BENCH_ATTACHED ?? "1,100,1000").split(",").map(Number)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 10)
const RATE = Number(process.env.BENCH_RATE ?? 100)
const WARM_UP_SECONDS = 2
const FILL = "x".repeat(900)

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

/** Sends a request; completes with its answer as text. */
const ask = (port, method, path, headers, body) =>
  new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) }
    const sent = request(
      { agent, host: "127.0.0.1", port, method, path, headers: { ...headers, ...length } },
      (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (chunk) => (text += chunk))
        response.on("end", () =>
          response.statusCode === 200
            ? resolve(text)
            : reject(new Error(`${path}: ${response.statusCode} ${text}`))
        )
      }
    )
    sent.on("error", reject)
    sent.end(body)
  })

/** Calls with the payload of each event of a stream that stays open; answers how to close it. */
const follow = (port, path, token, onPayload) =>
  new Promise((resolve, reject) => {
    const sent = request(
      { agent: false, host: "127.0.0.1", port, path, headers: { authorization: `Bearer ${token}` } },
      (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("error", () => {})
        response.on("data", (chunk) => {
          text += chunk
          for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
            const line = text
              .slice(0, end)
              .split("\n")
              .find((each) => each.startsWith("data: "))
            text = text.slice(end + 2)
            const event = line === undefined ? undefined : JSON.parse(line.slice(6))
            if (event?.payload !== undefined) onPayload(event.payload)
          }
        })
        resolve(() => sent.destroy())
      }
    )
    sent.on("error", reject)
    sent.end()
  })

const prompt = (uuid) => ({ type: "user", uuid, message: { role: "user", content: `Question ${uuid}` } })
const answer = (uuid) => ({
  type: "assistant",
  uuid: randomUUID(),
  answers: uuid,
  message: { role: "assistant", content: [{ type: "text", text: FILL }] }
})

// --- The candidates: each opens a session with its worker and its viewer, and sends a message to it ---

const startHub = (program) => async (file) => {
  const server = await start([program, file])
  const api = apiOf(server)
  const open = async (onAnswer) => {
    const { id, path, token } = await api.session()
    let last
    // One after the other, as the head of the chain demands.
    let replies = Promise.resolve()
    const ends = [
      await follow(server.port, `/v1/code/sessions/${id}/worker/events/stream`, token, ({ type, uuid }) => {
        if (type !== "user") return
        replies = replies.then(() => {
          const reply = answer(uuid)
          const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" }
          const guard = last === undefined ? {} : { "last-uuid": last }
          last = reply.uuid
          return ask(server.port, "PUT", path, { ...headers, ...guard }, JSON.stringify(reply))
        })
      }),
      await follow(server.port, `/v1/code/sessions/${id}/events/stream`, server.token, (payload) => {
        if (payload.type === "assistant") onAnswer(payload.answers)
      })
    ]
    const headers = { authorization: `Bearer ${server.token}`, "content-type": "application/json" }
    return {
      send: (uuid) =>
        ask(
          server.port,
          "POST",
          `/v1/code/sessions/${id}/events`,
          headers,
          JSON.stringify({ events: [{ payload: prompt(uuid) }] })
        ),
      close: () => {
        for (const end of ends) end()
      }
    }
  }
  return { ...server, open }
}

const startPlain = async (file) => {
  const server = await start([fileURLToPath(new URL("./plain-hub.mjs", import.meta.url)), file])
  let sessions = 0
  const open = async (onAnswer) => {
    const id = sessions++
    let open = true
    const own = new Agent({ keepAlive: true })
    const poll = () => {
      const sent = request(
        { agent: own, host: "127.0.0.1", port: server.port, path: `/poll/${id}` },
        (response) => {
          let text = ""
          response.on("data", (chunk) => (text += chunk))
          response.on("end", () => {
            ask(server.port, "PUT", `/reply/${id}`, {}, JSON.stringify(answer(JSON.parse(text).uuid)))
            if (open) poll()
          })
        }
      )
      sent.on("error", () => {})
      sent.end()
    }
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws/${id}`)
    socket.on("message", (data) => onAnswer(JSON.parse(data.toString()).answers))
    await new Promise((resolve) => socket.once("open", resolve))
    poll()
    return {
      send: (uuid) => ask(server.port, "POST", `/msg/${id}`, {}, JSON.stringify(prompt(uuid))),
      close: () => {
        open = false
        own.destroy()
        socket.terminate()
      }
    }
  }
  return { ...server, open }
}

// --- What is measured ---

const at = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]

const measure = async (server, count) => {
  const due = new Map()
  const latencies = []
  let wrong = 0
  const onAnswer = (uuid) => {
    const from = due.get(uuid)
    if (from === undefined) wrong++
    else latencies.push({ from, took: performance.now() - from })
    due.delete(uuid)
  }
  const before = await server.memory()
  const sessions = []
  for (let i = 0; i < count; i++) sessions.push(await server.open(onAnswer))
  await sleep(500)
  const memory = before === undefined ? undefined : ((await server.memory()) - before) / count
  const total = (WARM_UP_SECONDS + SECONDS) * RATE
  const begin = performance.now()
  let counted = 0
  for (let n = 0; n < total; n++) {
    const dueAt = begin + (n * 1000) / RATE
    const early = dueAt - performance.now()
    if (early > 0) await sleep(early)
    if (n === WARM_UP_SECONDS * RATE) await server.cpu()
    if (n >= WARM_UP_SECONDS * RATE) counted++
    const uuid = randomUUID()
    due.set(uuid, dueAt)
    sessions[n % count].send(uuid)
  }
  for (let waited = 0; due.size > 0 && waited < 30_000; waited += 20) await sleep(20)
  const cpu = (await server.cpu()) / counted
  for (const session of sessions) session.close()
  if (due.size > 0 || wrong > 0)
    throw new Error(`${due.size} of ${total} were not answered, ${wrong} were twice`)
  const warm = begin + WARM_UP_SECONDS * 1000
  const took = latencies.filter(({ from }) => from >= warm).map(({ took }) => took)
  const sorted = took.toSorted((a, b) => a - b)
  return { p50: at(sorted, 0.5), p99: at(sorted, 0.99), cpu, memory: memory ?? Number.NaN }
}

export const run = async () => {
  const built = await bundle("packages/hub/test/support/hub-process.ts")
  const directory = await mkdtemp(`${tmpdir()}/causeway-bench-`)
  const candidates = [
    ["plain", startPlain],
    ["hub", startHub(built.file)]
  ]
  const rows = []
  const title = `Message → worker → durable reply → viewer, ${RATE}/s from the due time, ${ROUNDS} rounds of ${SECONDS} s, medians`
  let files = 0
  try {
    process.stdout.write(`${title}; ${machine()}\n`)
    for (const count of SESSIONS) {
      const rounds = []
      for (let round = 0; round < ROUNDS; round++) {
        const results = {}
        for (const [name, open] of rotated(candidates, round)) {
          const server = await open(`${directory}/${files++}.db`)
          try {
            results[name] = await measure(server, count)
          } finally {
            await server.stop()
          }
        }
        rounds.push(results)
      }
      const of = (name, figure) => median(rounds.map((each) => each[name][figure]))
      const ratio = (figure) =>
        Number(median(rounds.map(({ hub, plain }) => hub[figure] / plain[figure])).toFixed(2))
      const row = { attached: count }
      for (const name of ["plain", "hub"]) {
        row[`${name} p50/p99 ms`] = `${of(name, "p50").toFixed(1)}/${of(name, "p99").toFixed(1)}`
        row[`${name} ms CPU/message`] = Number((of(name, "cpu") / 1000).toFixed(2))
        row[`${name} KB/session`] = Math.round(of(name, "memory") / 1024)
      }
      rows.push({ ...row, "ratio p50": ratio("p50"), "ratio p99": ratio("p99") })
      process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`)
    }
    process.stdout.write(`${machine()}\n`)
    return { title, rows }
  } finally {
    agent.destroy()
    await rm(directory, { recursive: true, force: true })
    await rm(built.directory, { recursive: true, force: true })
  }
}
