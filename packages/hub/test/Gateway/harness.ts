/**
 * A hub with its gateway on a free port, and clients that speak to it over real sockets.
 */

import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto"
import { anySessionBody } from "@causeway/protocol/Ids"
import * as Payload from "@causeway/protocol/Payload"
import { Log } from "@causeway/store/Log"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { WebSocket } from "ws"
import * as Config from "../../src/Gateway/Config.ts"
import * as Hub from "../../src/Hub.ts"

export interface HarnessOptions {
  readonly config?: string
  readonly maxBufferedBytes?: number
  readonly filename?: string
  readonly push?: Hub.GatewayOptions["push"]
}

const parsed = (text: string): Config.GatewayConfig => {
  const read = Config.parse(text)
  if (read._tag === "Left") throw new Error(read.left)
  return read.right
}

/** A hub in memory that serves a gateway. */
export const layer = (options: HarnessOptions = {}) =>
  Hub.layer({
    filename: options.filename ?? ":memory:",
    port: 0,
    freeFailures: Number.MAX_SAFE_INTEGER,
    gateway: {
      version: "0.0.0-test",
      push: options.push,
      config: options.config === undefined ? Config.defaults : parsed(options.config),
      ...(options.maxBufferedBytes === undefined ? {} : { maxBufferedBytes: options.maxBufferedBytes })
    }
  })

/** The fields of any frame; tests look into them. */
// biome-ignore lint/suspicious/noExplicitAny: tests read frames of every shape.
export type Frame = { readonly [field: string]: any }

export interface Target {
  readonly url: string
  readonly token: string
}

export const target = Effect.gen(function* () {
  const hub = yield* Hub.Hub
  const token = Option.getOrThrow(hub.firstToken)
  return { url: hub.url.replace(/^http/, "ws"), token: Redacted.value(token) } satisfies Target
})

/** A device with its key. */
export class Device {
  private readonly key: KeyObject
  readonly publicKey: string
  readonly id: string

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519")
    const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32)
    this.key = privateKey
    this.publicKey = raw.toString("base64url")
    this.id = createHash("sha256").update(raw).digest("hex")
  }

  prove(
    params: Frame,
    nonce: string,
    options: { readonly version?: "v2" | "v3"; readonly signedAt?: number } = {}
  ) {
    const signedAt = options.signedAt ?? Date.now()
    const auth = params["auth"] ?? {}
    const client = params["client"]
    const fields = [
      options.version ?? "v3",
      this.id,
      client.id,
      client.mode,
      params["role"] ?? "operator",
      (params["scopes"] ?? []).join(","),
      String(signedAt),
      auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? "",
      nonce
    ]
    if ((options.version ?? "v3") === "v3") {
      fields.push(
        (client.platform ?? "").trim().toLowerCase(),
        (client.deviceFamily ?? "").trim().toLowerCase()
      )
    }
    return {
      id: this.id,
      publicKey: this.publicKey,
      signature: sign(null, Buffer.from(fields.join("|")), this.key).toString("base64url"),
      signedAt,
      nonce
    }
  }
}

/** A socket that keeps every frame it gets. */
export class Client {
  readonly frames: Array<Frame> = []
  closed: { readonly code: number; readonly reason: string } | undefined
  readonly socket: WebSocket
  private readonly target: Target
  private waiters: Array<() => void> = []
  private requests = 0

  constructor(target: Target, headers: { readonly [name: string]: string } = {}) {
    this.target = target
    this.socket = new WebSocket(target.url, { headers })
    this.socket.on("message", (data: Buffer) => {
      this.frames.push(JSON.parse(data.toString()))
      this.wake()
    })
    this.socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.wake()
    })
    this.socket.on("error", () => {})
  }

  private wake() {
    for (const waiter of this.waiters.splice(0)) waiter()
  }

  /** Waits for a frame; rejects when the socket closes first. */
  async until(found: (frame: Frame) => boolean, after = 0): Promise<Frame> {
    for (;;) {
      const frame = this.frames.slice(after).find(found)
      if (frame !== undefined) return frame
      if (this.closed !== undefined) throw new Error(`closed ${this.closed.code} ${this.closed.reason}`)
      await new Promise<void>((resolve) => this.waiters.push(resolve))
    }
  }

  async untilClosed() {
    for (;;) {
      if (this.closed !== undefined) return this.closed
      await new Promise<void>((resolve) => this.waiters.push(resolve))
    }
  }

  async challenge(): Promise<string> {
    const frame = await this.until((each) => each["event"] === "connect.challenge")
    return frame["payload"].nonce
  }

  raw(frame: unknown) {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame))
  }

  async request(method: string, params?: unknown): Promise<Frame> {
    this.requests += 1
    const id = `r${this.requests}`
    this.raw({ type: "req", id, method, ...(params === undefined ? {} : { params }) })
    return this.until((frame) => frame["type"] === "res" && frame["id"] === id)
  }

  /** The payload of a request that must succeed. */
  async call(method: string, params?: unknown): Promise<Frame> {
    const response = await this.request(method, params)
    if (response["ok"] !== true) throw new Error(`${method}: ${JSON.stringify(response["error"])}`)
    return response["payload"]
  }

  /** The error of a request that must fail. */
  async refusal(method: string, params?: unknown): Promise<Frame> {
    const response = await this.request(method, params)
    if (response["ok"] !== false)
      throw new Error(`${method} succeeded: ${JSON.stringify(response["payload"])}`)
    return response["error"]
  }

  /** `connect`; members of `over` that are undefined are left out. */
  async connect(over: Frame = {}, device?: Device, proof?: Parameters<Device["prove"]>[2]): Promise<Frame> {
    const nonce = await this.challenge()
    const params: { [name: string]: unknown } = {
      minProtocol: 3,
      maxProtocol: 3,
      client: { id: "cli", version: "1", platform: "linux", mode: "cli" },
      role: "operator",
      scopes: ["operator.admin", "operator.read", "operator.write", "operator.pairing"],
      auth: { token: this.target.token },
      ...over
    }
    for (const name of Object.keys(params)) if (params[name] === undefined) delete params[name]
    if (device !== undefined) params["device"] = device.prove(params, nonce, proof)
    return this.request("connect", params)
  }

  events(name: string): ReadonlyArray<Frame> {
    return this.frames.filter((frame) => frame["type"] === "event" && frame["event"] === name)
  }

  /** Waits for the n-th (from 1) event of this kind that fits, and answers with its payload. */
  async event(name: string, fits: (payload: Frame) => boolean = () => true, n = 1): Promise<Frame> {
    let seen = 0
    const counted = new Set<Frame>()
    const frame = await this.until((each) => {
      if (each["event"] !== name || counted.has(each) || !fits(each["payload"])) return false
      counted.add(each)
      seen += 1
      return seen >= n
    })
    return frame["payload"]
  }
}

/** A client that is closed with the scope. */
export const open = (at: Target, headers?: { readonly [name: string]: string }) =>
  Effect.acquireRelease(
    Effect.sync(() => new Client(at, headers)),
    (client) => Effect.sync(() => client.socket.terminate())
  )

/** A client that has connected with these scopes. */
export const connected = (at: Target, over: Frame = {}, device: Device = new Device()) =>
  Effect.tap(open(at), (client) =>
    Effect.promise(async () => {
      const hello = await client.connect(over, device)
      if (hello["ok"] !== true) throw new Error(JSON.stringify(hello["error"]))
    })
  )

/** The payload that a call is answered with. */
export const call = (client: Client, method: string, params?: unknown) =>
  Effect.promise(() => client.call(method, params))

/** The error that a call is refused with. */
export const refusal = (client: Client, method: string, params?: unknown) =>
  Effect.promise(() => client.refusal(method, params))

/** Writes lines to a session's log as its worker would. */
export const worker = (sessionId: string) =>
  Effect.gen(function* () {
    const log = yield* Log
    const hub = yield* Hub.Hub
    return (...lines: ReadonlyArray<Frame>) =>
      log.append({
        session: anySessionBody(sessionId),
        organizationId: hub.organizationId,
        source: "worker",
        payloads: lines.map((line) =>
          Payload.make({ uuid: randomUUID(), ...line, type: String(line["type"]) })
        )
      })
  })

export const init: Frame = {
  type: "system",
  subtype: "init",
  session_id: "agent-session",
  model: "claude-x",
  cwd: "/w"
}
export const said = (text: string, more: Frame = {}): Frame => ({
  type: "assistant",
  message: {
    id: `msg_${randomUUID()}`,
    role: "assistant",
    model: "claude-x",
    content: [{ type: "text", text }],
    usage: { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
    stop_reason: "end_turn"
  },
  ...more
})
export const result = (text: string, more: Frame = {}): Frame => ({
  type: "result",
  subtype: "success",
  is_error: false,
  result: text,
  num_turns: 1,
  total_cost_usd: 0.01,
  ...more
})
