/** Runs the cases of `test/conformance/gateway.json` against any gateway. */
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { Client, Device, type Frame, type Target } from "./harness.ts"

export interface Case {
  readonly name: string
  readonly steps: ReadonlyArray<Frame>
}

export interface Document {
  readonly config: unknown
  readonly cases: ReadonlyArray<Case>
}

export const document: Document = JSON.parse(
  readFileSync(new URL("../../../../test/conformance/gateway.json", import.meta.url), "utf8")
)

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

class Run {
  private readonly target: Target
  private readonly word = `w${randomBytes(5).toString("hex")}`
  private readonly saved = new Map<string, unknown>()
  private readonly clients = new Map<string, Client>()
  private readonly devices = new Map<string, Device>()

  constructor(target: Target) {
    this.target = target
  }

  close() {
    for (const client of this.clients.values()) client.socket.terminate()
  }

  /** Puts words and saved values into what is sent. */
  private fill(value: unknown): unknown {
    if (typeof value === "string") {
      const whole = /^\$ref:(\w+)$/.exec(value)
      if (whole !== null) return this.saved.get(whole[1] ?? "")
      return value
        .replaceAll("{{k}}", this.word)
        .replaceAll("{{K}}", this.word.toUpperCase())
        .replace(/\$ref:(\w+)/g, (_, name: string) => String(this.saved.get(name)))
    }
    if (Array.isArray(value)) return value.map((each) => this.fill(each))
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, this.fill(each)]))
    }
    return value
  }

  /** Where a value does not fit; undefined where it does. */
  private misfit(expected: unknown, actual: unknown, path: string): string | undefined {
    const no = (wanted: string) =>
      `${path || "it"}: wanted ${wanted}, got ${JSON.stringify(actual) ?? "nothing"}`
    if (typeof expected === "string" && expected.startsWith("$")) {
      const [kind, name = ""] = expected.slice(1).split(":")
      switch (kind) {
        case "any":
          return actual === undefined ? no("something") : undefined
        case "absent":
          return actual === undefined ? undefined : no("nothing")
        case "uuid":
          return typeof actual === "string" && uuid.test(actual) ? undefined : no("a uuid")
        case "number":
          return typeof actual === "number" ? undefined : no("a number")
        case "string":
          return typeof actual === "string" ? undefined : no("text")
        case "save":
          this.saved.set(name, actual)
          return actual === undefined ? no("something") : undefined
        case "not":
          return actual !== this.saved.get(name) ? undefined : no("another value")
        case "oneof":
          return name.split("|").includes(String(actual)) ? undefined : no(name)
      }
    }
    if (Array.isArray(expected)) {
      if (!Array.isArray(actual) || actual.length !== expected.length)
        return no(`${expected.length} elements`)
      for (const [i, each] of expected.entries()) {
        const found = this.misfit(each, actual[i], `${path}/${i}`)
        if (found !== undefined) return found
      }
      return undefined
    }
    if (typeof expected === "object" && expected !== null) {
      if (typeof actual !== "object" || actual === null) return no("an object")
      for (const [key, each] of Object.entries(expected)) {
        const found = this.misfit(each, (actual as Frame)[key], `${path}/${key}`)
        if (found !== undefined) return found
      }
      return undefined
    }
    const wanted = this.fill(expected)
    return wanted === actual ? undefined : no(JSON.stringify(wanted))
  }

  private demand(expected: unknown, actual: unknown) {
    const found = this.misfit(expected, actual, "")
    if (found !== undefined) throw new Error(found)
  }

  private client(name: string): Client {
    const client = this.clients.get(name)
    if (client === undefined) throw new Error(`no client ${name}`)
    return client
  }

  private device(name: string): Device {
    const device = this.devices.get(name) ?? new Device()
    this.devices.set(name, device)
    return device
  }

  async step(step: Frame): Promise<void> {
    if ("open" in step) {
      this.clients.set(step["open"], new Client(this.target, step["headers"] ?? {}))
      await this.client(step["open"]).challenge()
    } else if ("connect" in step) {
      const client = this.client(step["connect"])
      const over = Object.fromEntries(
        Object.entries(this.fill(step["over"] ?? {}) as Frame).map(([key, value]) => [
          key,
          value === null ? undefined : value
        ])
      )
      const device = step["device"] === undefined ? undefined : this.device(step["device"])
      const given: Frame = step["proof"] ?? {}
      const nonce = await client.challenge()
      const params: { [name: string]: unknown } = {
        minProtocol: 3,
        maxProtocol: 3,
        client: { id: "cli", version: "1", platform: "linux", mode: "cli" },
        role: "operator",
        scopes: ["operator.admin", "operator.read", "operator.write"],
        auth: { token: this.target.token },
        ...over
      }
      for (const name of Object.keys(params)) if (params[name] === undefined) delete params[name]
      if (device !== undefined) {
        params["device"] = {
          ...device.prove(params, nonce, {
            ...(given["version"] === undefined ? {} : { version: given["version"] }),
            ...(given["signedAgo"] === undefined ? {} : { signedAt: Date.now() - given["signedAgo"] })
          }),
          ...given["set"]
        }
      }
      this.demand(step["expect"], await client.request("connect", params))
    } else if ("call" in step) {
      this.demand(
        step["expect"],
        await this.client(step["call"]).request(step["method"], this.fill(step["params"]))
      )
    } else if ("frame" in step) {
      const client = this.client(step["frame"])
      const before = client.frames.length
      client.raw(step["send"])
      const found = await client.until(
        (frame) => frame["type"] === "res" && frame["id"] === step["answerTo"],
        before
      )
      this.demand(step["expect"], found)
    } else if ("raw" in step) {
      this.client(step["raw"]).raw(step["text"] ?? "x".repeat(step["repeat"]))
    } else if ("closed" in step) {
      const closed = await this.client(step["closed"]).untilClosed()
      this.demand({ code: step["code"], reason: step["reason"] }, closed)
    } else if ("event" in step) {
      const client = this.client(step["event"])
      await client.until(
        (frame) =>
          frame["event"] === step["name"] &&
          this.misfit(step["match"], frame["payload"], "") === undefined &&
          (step["seq"] === undefined || this.misfit(step["seq"], frame["seq"], "") === undefined)
      )
    } else throw new Error(`unknown step ${JSON.stringify(step)}`)
  }
}

/** Runs one case; rejects with the step that failed. */
export const runCase = async (target: Target, each: Case): Promise<void> => {
  const run = new Run(target)
  try {
    for (const [i, step] of each.steps.entries()) {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("nothing came within 10 s")), 10_000)
      })
      try {
        await Promise.race([run.step(step), late])
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause)
        throw new Error(`step ${i + 1} ${JSON.stringify(step).slice(0, 300)}: ${message}`)
      } finally {
        clearTimeout(timer)
      }
    }
  } finally {
    run.close()
  }
}
