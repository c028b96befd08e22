// The page in a real browser against a real hub on loopback: how soon it is drawn, how large its scripts are, whether typing
// stays as quick while events stream in, whether its memory stays flat, and how a long log scrolls. Needs Chromium
// (`CAUSEWAY_TEST_CHROMIUM` names another one) and the built program. Figures go to `BENCH_JSON`, too, where that is set.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { chromium } from "playwright-core"

const root = fileURLToPath(new URL("../..", import.meta.url))
const LOADS = Number(process.env.BENCH_LOADS ?? 9)
const KEYS = Number(process.env.BENCH_KEYS ?? 150)
const LONG = Number(process.env.BENCH_EVENTS ?? 100_000)
const RATE = 200
const STEPS = [0, 2500, 5000, 10_000]

const figures = {}
const tell = (name, value, words) => {
  figures[name] = value
  process.stdout.write(`page, ${words}\n`)
}
const at = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
const sort = (values) => values.toSorted((a, b) => a - b)
const round = (value, digits = 1) => Number(value.toFixed(digits))

// --- The hub, and a worker of its sessions ---

const startHub = async (directory) => {
  const child = spawn(
    process.execPath,
    [`${root}apps/bridge/dist/main.js`, "hub", "--json", "--port", "0", "--state-dir", directory],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  const ready = await new Promise((resolve, reject) => {
    let text = ""
    child.stdout.on("data", (chunk) => {
      text += chunk
      for (const line of text.split("\n").slice(0, -1)) {
        const value = JSON.parse(line)
        if (value.event === "ready") resolve(value)
      }
    })
    child.once("exit", (code) => reject(new Error(`the hub ended with ${code}`)))
  })
  const call = async (path, bearer, body) => {
    const response = await fetch(`${ready.url}${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${bearer}`,
        "content-type": "application/json",
        "anthropic-beta": "ccr-byoc-2025-07-29"
      },
      body: JSON.stringify(body)
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`)
    return text === "" ? {} : JSON.parse(text)
  }
  const session = async (title) => {
    const { id } = await call("/v1/sessions", ready.token, { title })
    const { worker_jwt, worker_epoch } = await call(`/v1/code/sessions/${id}/bridge`, ready.token, {})
    let lines = 0
    const says = (payloads) =>
      call(`/v1/code/sessions/${id}/worker/events`, worker_jwt, {
        worker_epoch,
        events: payloads.map((payload) => ({
          payload: { uuid: `line-${lines++}`, ...payload },
          ...(payload.type === "stream_event" ? { ephemeral: true } : {})
        }))
      })
    return { id, says }
  }
  return { url: ready.url, token: ready.token, session, stop: () => child.kill("SIGTERM") }
}

const WORDS = "The span rests on two piers; each carries half of the load. "
const message = (n, text = `Message ${n}. ${WORDS.repeat(1 + (n % 4))}`) => ({
  type: "assistant",
  message: { id: `m${n}`, role: "assistant", model: "scripted", content: [{ type: "text", text }] }
})
const delta = (text) => ({
  type: "stream_event",
  event: { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }
})
/** Event `n` of a stream: pieces of text, and after every ten of them the whole message. */
const streamed = (n) => (n % 10 === 9 ? message(n) : delta(`word${n} `))

/** Streams events at `RATE` a second, ten at a time, until it is stopped; answers how many went out a second. */
const stream = (worker) => {
  let running = true
  let sent = 0
  const from = Date.now()
  const done = (async () => {
    while (running) {
      await worker.says(Array.from({ length: 10 }, () => streamed(sent++)))
      const early = from + (sent * 1000) / RATE - Date.now()
      if (early > 0) await sleep(early)
    }
    return (sent * 1000) / (Date.now() - from)
  })()
  return {
    stop: () => {
      running = false
      return done
    }
  }
}

// --- The browser ---

const signIn = async (page, hub) => {
  await page.goto(`${hub.url}/#token=${hub.token}`)
  await page.getByRole("button", { name: "New session" }).waitFor()
}

const visit = async (page, hub, id) => {
  await page.goto(`${hub.url}/#/session/${id}`)
  await page.getByText("connected", { exact: true }).waitFor()
}

/** From each key to the moment after the frame that shows it, in milliseconds. */
const typing = async (page) => {
  const box = page.getByRole("textbox", { name: "Message the agent" })
  await box.fill("")
  await box.focus()
  await page.evaluate(`(() => {
    const box = document.activeElement
    const taken = (window.taken = [])
    if (window.listens) return
    window.listens = true
    box.addEventListener("keydown", (event) => {
      requestAnimationFrame(() => {
        const channel = new MessageChannel()
        channel.port1.onmessage = () => window.taken.push(performance.now() - event.timeStamp)
        channel.port2.postMessage(0)
      })
    })
  })()`)
  for (let n = 0; n < KEYS; n++) {
    await page.keyboard.press(n % 6 === 5 ? "Space" : "a")
    await sleep(40)
  }
  const taken = sort(await page.evaluate("window.taken"))
  if (taken.length < KEYS) throw new Error(`${taken.length} of ${KEYS} keys were seen`)
  return { p50: round(at(taken, 0.5)), p95: round(at(taken, 0.95)), max: round(taken.at(-1)) }
}

const memory = async (devtools) => {
  await devtools.send("HeapProfiler.collectGarbage")
  await devtools.send("HeapProfiler.collectGarbage")
  const { metrics } = await devtools.send("Performance.getMetrics")
  const of = (name) => metrics.find((metric) => metric.name === name).value
  return { heapMb: round(of("JSHeapUsedSize") / 1e6, 2), nodes: of("Nodes") }
}

// --- What is measured ---

const sizes = async () => {
  const directory = `${root}apps/web/dist/page`
  const files = [
    "main.js",
    ...(await readdir(`${directory}/chunks`))
      .filter((each) => each.endsWith(".js"))
      .map((each) => `chunks/${each}`)
  ]
  const compressed = {}
  for (const file of files)
    compressed[file] = gzipSync(await readFile(join(directory, file)), { level: 6 }).length
  const all = Object.values(compressed).reduce((sum, bytes) => sum + bytes, 0)
  tell(
    "script",
    { firstBytes: compressed["main.js"], allBytes: all },
    `script, gzip: ${round(compressed["main.js"] / 1000)} kB at first, ${round(all / 1000)} kB with all that is loaded when needed`
  )
}

const firstPaint = async (browser, hub) => {
  const paints = []
  const usable = []
  for (let n = 0; n < LOADS; n++) {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.goto(`${hub.url}/#token=${hub.token}`)
    await page.getByRole("button", { name: "New session" }).waitFor()
    const [paint, now] = await page.evaluate(
      `[performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1, performance.now()]`
    )
    paints.push(paint)
    usable.push(now)
    await context.close()
  }
  const [paint, use] = [sort(paints), sort(usable)]
  tell(
    "firstPaint",
    { medianMs: round(at(paint, 0.5)), maxMs: round(paint.at(-1)), usableMedianMs: round(at(use, 0.5)) },
    `first contentful paint, ${LOADS} cold profiles: median ${round(at(paint, 0.5))} ms, most ${round(paint.at(-1))} ms; the list is there after ${round(at(use, 0.5))} ms`
  )
}

const latency = async (page, hub) => {
  const worker = await hub.session("Typing")
  await worker.says(Array.from({ length: 100 }, (_, n) => message(n)))
  await visit(page, hub, worker.id)
  await typing(page)
  const idle = await typing(page)
  const streaming = stream(await withLive(worker))
  await page.locator(".live, .item").first().waitFor()
  const busy = await typing(page)
  const rate = await streaming.stop()
  tell(
    "typing",
    {
      idle,
      busy,
      ratioP50: round(busy.p50 / idle.p50, 2),
      ratioP95: round(busy.p95 / idle.p95, 2),
      rate: round(rate)
    },
    `key to frame: idle p50 ${idle.p50} ms, p95 ${idle.p95} ms; with ${round(rate)} events/s p50 ${busy.p50} ms, p95 ${busy.p95} ms; ratios ${round(busy.p50 / idle.p50, 2)} and ${round(busy.p95 / idle.p95, 2)}`
  )
}

/** A turn begins, so that partial text is shown. */
const withLive = async (worker) => {
  await worker.says([{ type: "system", subtype: "init", model: "scripted" }])
  return worker
}

const flatness = async (page, hub, devtools, name, kind) => {
  const worker = await withLive(await hub.session(name))
  await visit(page, hub, worker.id)
  const points = []
  let sent = 0
  for (const step of STEPS) {
    while (sent < step) {
      await worker.says(Array.from({ length: 100 }, () => kind(sent++)))
    }
    await worker.says([message(`end-${step}`, `all ${step} are here`)])
    await page.getByRole("log").getByText(`all ${step} are here`, { exact: true }).waitFor()
    points.push({ events: step, ...(await memory(devtools)) })
  }
  const [first, last] = [points[1], points.at(-1)]
  tell(
    `memory ${name}`,
    {
      points,
      heapRatio: round(last.heapMb / first.heapMb, 2),
      nodesRatio: round(last.nodes / first.nodes, 2)
    },
    `memory, ${name}: ${points.map((each) => `${each.events}: ${each.heapMb} MB, ${each.nodes} nodes`).join("; ")}; ratio of ${last.events} to ${first.events} events ${round(last.heapMb / first.heapMb, 2)} (heap), ${round(last.nodes / first.nodes, 2)} (nodes)`
  )
}

const scrolling = async (page, hub, devtools) => {
  const worker = await hub.session("Long")
  const from = Date.now()
  for (let sent = 0; sent < LONG; ) await worker.says(Array.from({ length: 100 }, () => message(sent++)))
  const filled = Date.now() - from
  const began = Date.now()
  await visit(page, hub, worker.id)
  await page
    .getByRole("log")
    .getByText(`Message ${LONG - 1}.`, { exact: false })
    .waitFor()
  const opened = Date.now() - began
  await page.getByRole("region", { name: "Transcript" }).hover()
  await page.evaluate(`(() => {
    window.frames_ = []
    let last = performance.now()
    const next = (now) => { window.frames_.push(now - last); last = now; requestAnimationFrame(next) }
    requestAnimationFrame(next)
  })()`)
  for (let n = 0; n < 300; n++) {
    await page.mouse.wheel(0, n < 200 ? -600 : 600)
    await sleep(16)
  }
  const frames = sort(await page.evaluate("window.frames_"))
  const slow = frames.filter((each) => each > 50).length
  const held = await memory(devtools)
  tell(
    "scroll",
    {
      events: LONG,
      openMs: opened,
      frames: frames.length,
      slowShare: round(slow / frames.length, 4),
      p95Ms: round(at(frames, 0.95)),
      maxMs: round(frames.at(-1)),
      ...held
    },
    `a log of ${LONG} events (filled in ${round(filled / 1000)} s): open after ${opened} ms; scrolled: ${slow} of ${frames.length} frames over 50 ms (${round((100 * slow) / frames.length)} %), p95 ${round(at(frames, 0.95))} ms, most ${round(frames.at(-1))} ms; ${held.heapMb} MB, ${held.nodes} nodes`
  )
}

export const run = async () => {
  const path = [process.env.CAUSEWAY_TEST_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find(
    (place) => place !== undefined && existsSync(place)
  )
  if (path === undefined) {
    process.stdout.write("page: NOT measured, no Chromium here (CAUSEWAY_TEST_CHROMIUM)\n")
    return
  }
  const directory = await mkdtemp(`${tmpdir()}/causeway-bench-page-`)
  const hub = await startHub(directory)
  const browser = await chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-gpu"] })
  try {
    await sizes()
    await firstPaint(browser, hub)
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    context.setDefaultTimeout(120_000)
    const page = await context.newPage()
    const devtools = await context.newCDPSession(page)
    await devtools.send("Performance.enable")
    await signIn(page, hub)
    await latency(page, hub)
    await flatness(page, hub, devtools, "streamed text", (n) => delta(`word${n} `))
    await flatness(page, hub, devtools, "text and messages", streamed)
    await flatness(page, hub, devtools, "messages", (n) => message(n))
    await scrolling(page, hub, devtools)
    if (process.env.BENCH_JSON !== undefined) {
      await writeFile(process.env.BENCH_JSON, `${JSON.stringify(figures, null, 2)}\n`)
    }
  } finally {
    await browser.close()
    hub.stop()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}
