// Durable appends: ingress PUTs of 1 KB, each with the head that the writer knows, one session a connection.
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { bundle } from "./bundle.mjs"

const CONNECTIONS = [1, 16, 64]
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const SECONDS = Number(process.env.BENCH_SECONDS ?? 3)
const FILL = "x".repeat(900)

/** A server in a process of its own. Its first line says where it listens; asked, it tells its processor time. */
const start = async (args) => {
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
  let text = ""
  let waiting = () => {}
  child.stdout.on("data", (chunk) => {
    text += chunk
    waiting()
  })
  const line = () =>
    new Promise((resolve, reject) => {
      waiting = () => {
        const end = text.indexOf("\n")
        if (end === -1) return
        const first = text.slice(0, end)
        text = text.slice(end + 1)
        resolve(JSON.parse(first))
      }
      child.once("exit", (code) => reject(new Error(`${args[0]} ended with ${code}`)))
      waiting()
    })
  const first = await line()
  /** Microseconds of processor time since it was asked before. */
  const cpu = async () => {
    child.stdin.write("?")
    return (await line()).cpu
  }
  const stop = () =>
    new Promise((resolve) => {
      child.removeAllListeners("exit")
      child.on("exit", resolve)
      child.stdin.end()
    })
  return { ...first, cpu, stop }
}

/** A writer on one keep-alive connection that speaks just enough HTTP to cost little beside the server. */
const writer = (port, path, token, state) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1")
    socket.setNoDelay(true)
    let last
    let uuid
    let done = 0
    let received = ""
    const send = () => {
      uuid = randomUUID()
      const body = `{"type":"assistant","uuid":"${uuid}","message":{"role":"assistant","content":[{"type":"text","text":"${FILL}"}]}}`
      socket.write(
        `PUT ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${
          last === undefined ? "" : `last-uuid: ${last}\r\n`
        }content-length: ${body.length}\r\n\r\n${body}`
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
      last = uuid
      if (state.counting) done++
      if (state.stopped) {
        socket.end()
        resolve(done)
      } else {
        send()
      }
    })
  })

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const measure = async (server, targets) => {
  const state = { counting: false, stopped: false }
  const writers = targets.map(({ path, token }) => writer(server.port, path, token, state))
  await pause(700)
  await server.cpu()
  state.counting = true
  const from = performance.now()
  await pause(SECONDS * 1000)
  state.counting = false
  const seconds = (performance.now() - from) / 1000
  const cpu = await server.cpu()
  state.stopped = true
  const counts = await Promise.all(writers)
  const total = counts.reduce((sum, count) => sum + count, 0)
  return { rate: total / seconds, cpu: cpu / total }
}

const better = (a, b) => (a === undefined || b.rate > a.rate ? b : a)

const call = async (hub, path, body) => {
  const response = await fetch(`http://127.0.0.1:${hub.port}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${hub.token}`,
      "content-type": "application/json",
      "anthropic-beta": "ccr-byoc-2025-07-29"
    },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

const hubTargets = (hub, count) =>
  Promise.all(
    Array.from({ length: count }, async () => {
      const { id } = await call(hub, "/v1/sessions", {})
      const { worker_jwt } = await call(hub, `/v1/code/sessions/${id}/bridge`, {})
      return { path: `/v1/session_ingress/session/${id}`, token: worker_jwt }
    })
  )

export const run = async () => {
  const built = await bundle("packages/hub/test/support/hub-process.ts")
  const directory = await mkdtemp(`${tmpdir()}/causeway-bench-`)
  try {
    const rows = []
    for (const connections of CONNECTIONS) {
      const best = { plain: undefined, hub: undefined }
      for (let round = 0; round < ROUNDS; round++) {
        const plain = await start([
          fileURLToPath(new URL("./plain-server.mjs", import.meta.url)),
          `${directory}/plain-${connections}-${round}.db`
        ])
        const plainTargets = Array.from({ length: connections }, (_, i) => ({ path: `/s/${i}`, token: "x" }))
        best.plain = better(best.plain, await measure(plain, plainTargets))
        await plain.stop()
        const hub = await start([built.file, `${directory}/hub-${connections}-${round}.db`])
        best.hub = better(best.hub, await measure(hub, await hubTargets(hub, connections)))
        await hub.stop()
      }
      rows.push({
        connections,
        "plain req/s": Math.round(best.plain.rate),
        "hub req/s": Math.round(best.hub.rate),
        ratio: (best.hub.rate / best.plain.rate).toFixed(2),
        "plain µs CPU/req": Math.round(best.plain.cpu),
        "hub µs CPU/req": Math.round(best.hub.cpu)
      })
    }
    process.stdout.write(
      `durable appends of 1 KB, best of ${ROUNDS} rounds of ${SECONDS} s, client and server share the cores\n`
    )
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`)
  } finally {
    await rm(directory, { recursive: true, force: true })
    await rm(built.directory, { recursive: true, force: true })
  }
}
