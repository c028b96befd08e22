// Durable appends: PUTs of 1 KB, each with the head that the writer knows, one session a connection. The hub beside a plain
// server that is as good as one writes it in an afternoon (`plain-server.mjs`): fresh processes and files, rounds interleaved
// and rotated. After each round every log is read back: nothing lost, doubled or out of order.
import { randomUUID } from "node:crypto"
import { mkdtemp, rm, stat } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import Database from "better-sqlite3"
import { bundle } from "./bundle.mjs"
import { machine, median, rotated } from "./figures.mjs"
import { apiOf } from "./hub-api.mjs"
import { start } from "./process.mjs"

const CONNECTIONS = (process.env.BENCH_CONNECTIONS ?? "1,16,64").split(",").map(Number)
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3)
const WARM_UP_MILLIS = 1000
/** Appends whose bytes in the write-ahead log are counted: fewer than what begins a checkpoint. */
const COUNTED = 50
const FILL = "x".repeat(900)

/** A writer on one keep-alive connection that speaks just enough HTTP to cost little beside the server. */
const writer = (port, { path, token, last }, state) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1")
    socket.setNoDelay(true)
    const acknowledged = []
    let uuid = last
    let done = 0
    let received = ""
    const send = () => {
      const head = uuid === undefined ? "" : `last-uuid: ${uuid}\r\n`
      uuid = randomUUID()
      const body = `{"type":"assistant","uuid":"${uuid}","message":{"role":"assistant","content":[{"type":"text","text":"${FILL}"}]}}`
      socket.write(
        `PUT ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${head}content-length: ${body.length}\r\n\r\n${body}`
      )
    }
    socket.on("connect", send)
    socket.on("error", reject)
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1")
      const end = received.indexOf("\r\n\r\n")
      if (end === -1) return
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (received.length < end + 4 + length) return
      if (!received.startsWith("HTTP/1.1 200")) return reject(new Error(received))
      received = ""
      acknowledged.push(uuid)
      if (state.counting) done++
      if (state.left > 0) state.left--
      if (state.stopped || state.left === 0) {
        socket.end()
        resolve({ done, acknowledged })
      } else {
        send()
      }
    })
  })

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const check = async (server, targets, logs) => {
  for (const [index, target] of targets.entries()) {
    const found = await server.uuids(target)
    const wanted = logs[index].acknowledged
    if (found.length !== wanted.length || found.some((uuid, at) => uuid !== wanted[at]))
      throw new Error(`${server.name}: ${wanted.length} were acknowledged, ${found.length} are in the log`)
  }
}

const measure = async (server, targets) => {
  const state = { counting: false, stopped: false }
  const writers = targets.map((target) => writer(server.port, target, state))
  await pause(WARM_UP_MILLIS)
  await server.cpu()
  state.counting = true
  const from = performance.now()
  await pause(SECONDS * 1000)
  state.counting = false
  const seconds = (performance.now() - from) / 1000
  const cpu = await server.cpu()
  state.stopped = true
  const logs = await Promise.all(writers)
  await check(server, targets, logs)
  const total = logs.reduce((sum, { done }) => sum + done, 0)
  return { rate: total / seconds, cpu: cpu / total }
}

/** Bytes that an append writes to the write-ahead log, one after the other. */
const walBytes = async (server, [target]) => {
  await writer(server.port, target, { left: 10 })
  const db = new Database(server.file)
  db.pragma("wal_checkpoint(TRUNCATE)")
  const last = (await server.uuids(target)).at(-1)
  const log = await writer(server.port, { ...target, last }, { left: COUNTED })
  const { size } = await stat(`${server.file}-wal`)
  db.close()
  return size / log.acknowledged.length
}

// --- The candidates ---

const startPlain = async (file) => {
  const server = await start([fileURLToPath(new URL("./plain-server.mjs", import.meta.url)), file])
  const uuids = async ({ path }) => {
    const all = []
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}?after=${all.length}`)
      const page = await response.json()
      all.push(...page.map(({ uuid }) => uuid))
      if (page.length < 1000) return all
    }
  }
  const targets = async (count) => Array.from({ length: count }, (_, i) => ({ path: `/s/${i}`, token: "x" }))
  return { ...server, name: "plain", file, targets, uuids }
}

const startHub = (program) => async (file) => {
  const server = await start([program, file])
  const api = apiOf(server)
  const targets = (count) => Promise.all(Array.from({ length: count }, api.session))
  const uuids = async ({ path, token }) =>
    (await api.call("GET", path, token)).loglines.map(({ uuid }) => uuid)
  return { ...server, name: "hub", file, targets, uuids }
}

export const run = async () => {
  const built = await bundle("packages/hub/test/support/hub-process.ts")
  const directory = await mkdtemp(`${tmpdir()}/causeway-bench-`)
  const candidates = [
    ["plain", startPlain],
    ["hub", startHub(built.file)]
  ]
  const rows = []
  const title = `Durable appends of 1 KB, ${ROUNDS} rounds of ${SECONDS} s, medians; client and server share the cores`
  let files = 0
  const using = async (open, body) => {
    const server = await open(`${directory}/${files++}.db`)
    try {
      return await body(server)
    } finally {
      await server.stop()
    }
  }
  try {
    process.stdout.write(`${title}; ${machine()}\n`)
    for (const connections of CONNECTIONS) {
      const rounds = []
      for (let round = 0; round < ROUNDS; round++) {
        const results = {}
        for (const [name, open] of rotated(candidates, round))
          results[name] = await using(open, async (server) =>
            measure(server, await server.targets(connections))
          )
        rounds.push(results)
      }
      const of = (name, figure) => Math.round(median(rounds.map((each) => each[name][figure])))
      const ratios = rounds.map(({ hub, plain }) => hub.rate / plain.rate)
      const row = {
        connections,
        "plain req/s": of("plain", "rate"),
        "hub req/s": of("hub", "rate"),
        ratio: Number(median(ratios).toFixed(2)),
        "ratio of each round": ratios.map((ratio) => Number(ratio.toFixed(2))),
        "plain µs CPU/req": of("plain", "cpu"),
        "hub µs CPU/req": of("hub", "cpu")
      }
      rows.push(row)
      process.stdout.write(`${JSON.stringify(row)}\n`)
    }
    for (const [name, open] of candidates) {
      const bytes = await using(open, async (server) => walBytes(server, await server.targets(1)))
      process.stdout.write(`${name}: ${(bytes / 1024).toFixed(1)} KB in the write-ahead log an append\n`)
      for (const row of rows)
        row[`${name} KB in the log's file`] = row.connections === 1 ? (bytes / 1024).toFixed(1) : ""
    }
    process.stdout.write(`${machine()}\n`)
    return { title, rows }
  } finally {
    await rm(directory, { recursive: true, force: true })
    await rm(built.directory, { recursive: true, force: true })
  }
}
