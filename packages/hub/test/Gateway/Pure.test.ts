import { readFileSync } from "node:fs"
import { anySessionBody, sessionBody, sessionUuid } from "@causeway/protocol/Ids"
import type { Scope } from "@causeway/protocol/Permission"
import { describe, expect, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Config from "../../src/Gateway/Config.ts"
import { closeReason } from "../../src/Gateway/Connections.ts"
import * as Device from "../../src/Gateway/Handshake/DeviceProof.ts"
import { pairingReason } from "../../src/Gateway/Handshake/Pairing.ts"
import { CAPACITY, Idempotency, type Outcome, TTL_MILLIS } from "../../src/Gateway/Idempotency.ts"
import * as Keys from "../../src/Gateway/Keys.ts"
import { highWater, plan } from "../../src/Gateway/Maintenance.ts"
import { previewItem } from "../../src/Gateway/Messages.ts"
import { isBoundedJson } from "../../src/Gateway/Methods/Settings.ts"
import { apply } from "../../src/Gateway/Patching.ts"
import { resolveSessionId } from "../../src/Gateway/Rows.ts"
import { expiry } from "../../src/Gateway/Runs.ts"
import { holds, refusal } from "../../src/Gateway/Scopes.ts"
import { isStop } from "../../src/Gateway/SessionCommands.ts"
import { Device as TestDevice } from "./harness.ts"

const rulesWith = (over: Partial<Keys.KeyRules> = {}): Keys.KeyRules => ({
  defaultAgentId: "main",
  agentIds: ["main", "ops"],
  mainKey: "main",
  scope: "per-sender",
  ...over
})

const word = FastCheck.stringMatching(/^[a-zA-Z0-9 _-]{1,12}$/)
const part = FastCheck.oneof(
  word,
  FastCheck.constantFrom(
    "agent",
    "main",
    "global",
    "unknown",
    "subagent",
    "acp",
    "group",
    "channel",
    "cron",
    "run",
    "thread",
    ""
  )
)
const anyKey = FastCheck.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(":"))
const anyRules = FastCheck.record({
  defaultAgentId: FastCheck.constantFrom("main", "ops"),
  agentIds: FastCheck.constantFrom(["main"], ["ops"], ["main", "ops"]),
  mainKey: FastCheck.constantFrom("main", "home"),
  scope: FastCheck.constantFrom("per-sender" as const, "global" as const)
})

describe("keys", () => {
  it("the canonical form is its own canonical form, lower case, and agent-scoped unless special", () => {
    FastCheck.assert(
      FastCheck.property(anyKey, anyRules, (key, rules) => {
        const once = Keys.canonical(key, rules)
        expect(Keys.canonical(once, rules)).toBe(once)
        expect(once).toBe(once.toLowerCase())
        if (!Keys.isBlank(key))
          expect(Keys.isSpecial(once) || Keys.parseAgentKey(once) !== undefined).toBe(true)
      }),
      { numRuns: 1000 }
    )
  })

  it("case and edges do not matter", () => {
    FastCheck.assert(
      FastCheck.property(anyKey, anyRules, (key, rules) => {
        expect(Keys.canonical(`  ${key.toUpperCase()} `, rules)).toBe(Keys.canonical(key, rules))
      })
    )
  })

  it("agent ids are valid, and normal ones stay as they are", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string(), (text) => {
        const id = Keys.normalizeAgentId(text)
        expect(Keys.normalizeAgentId(id)).toBe(id)
        expect(id).toMatch(/^[a-z0-9_-]{1,64}$/)
      }),
      { numRuns: 1000 }
    )
    expect(Keys.normalizeAgentId("My Agent!")).toBe("my-agent")
    expect(Keys.normalizeAgentId("--")).toBe("main")
  })

  it("main, the main key and agent:<id>:main are one session", () => {
    const rules = rulesWith({ mainKey: "home" })
    for (const key of ["main", "HOME", "agent:main:main", "agent:main:home"]) {
      expect(Keys.canonical(key, rules)).toBe("agent:main:home")
    }
    expect(Keys.canonical("agent:ops:main", rules)).toBe("agent:ops:home")
    expect(Keys.canonical("main", rulesWith({ scope: "global" }))).toBe("global")
    expect(Keys.canonical("agent:main:main", rulesWith({ defaultAgentId: "ops", agentIds: ["ops"] }))).toBe(
      "agent:ops:main"
    )
  })

  it("older names never hold the present one, and lead to it", () => {
    FastCheck.assert(
      FastCheck.property(anyKey, anyRules, (key, rules) => {
        const wanted = Keys.canonical(key, rules)
        for (const old of Keys.legacy(key, rules)) {
          expect(old).not.toBe(wanted)
          if (rules.agentIds.includes("main")) expect(Keys.canonical(old, rules)).toBe(wanted)
        }
      })
    )
  })

  it("a key made for an agent belongs to it", () => {
    FastCheck.assert(
      FastCheck.property(word, FastCheck.constantFrom("main", "ops"), (name, agentId) => {
        FastCheck.pre(name.trim() !== "" && !Keys.isSpecial(name))
        const key = Keys.canonicalFor(name, agentId, rulesWith())
        expect(Keys.agentOf(key)).toBe(agentId)
      })
    )
  })

  it("kinds", () => {
    expect(Keys.kindOf("global")).toBe("global")
    expect(Keys.kindOf("agent:main:telegram:group:42")).toBe("group")
    expect(Keys.kindOf("agent:main:x", "channel")).toBe("group")
    expect(Keys.kindOf("agent:main:x")).toBe("direct")
    expect(Keys.isCronRun("agent:main:cron:daily:run:7")).toBe(true)
    expect(Keys.isProtected("agent:main:x:thread:9")).toBe(true)
  })
})

describe("session ids", () => {
  it("a body and its uuid name each other", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.uuid(), (id) => {
        expect(sessionUuid(anySessionBody(id))).toBe(id)
        expect(anySessionBody(sessionUuid(anySessionBody(id)))).toBe(anySessionBody(id))
      })
    )
  })

  const record = (session: string, key: string, updatedAt: number) =>
    ({ session, key, updatedAt }) as Parameters<typeof resolveSessionId>[0][number]

  it("the freshest of those whose keys end in the id wins; a tie is told", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(
          FastCheck.record({ ends: FastCheck.boolean(), at: FastCheck.integer({ min: 0, max: 5 }) }),
          {
            maxLength: 6
          }
        ),
        (given) => {
          const id = sessionBody("0123456789abcdef0123456789abcdef")
          const uuid = sessionUuid(id)
          const all = given.map(({ at, ends }, i) =>
            record(id, ends ? `agent:a${i}:${uuid}` : `agent:a${i}:x`, at)
          )
          const found = resolveSessionId(all, uuid)
          const ending = all.filter((each) => each.key.endsWith(uuid))
          const pool = ending.length > 0 ? ending : all
          const newest = Math.max(...pool.map((each) => each.updatedAt))
          const best = pool.filter((each) => each.updatedAt === newest)
          if (all.length === 0) expect(found._tag).toBe("None")
          else if (best.length === 1) expect(found).toEqual({ _tag: "One", record: best[0] })
          else expect(found._tag).toBe("Several")
        }
      ),
      { numRuns: 500 }
    )
  })
})

describe("scopes", () => {
  const scopes = FastCheck.subarray([
    "operator.read",
    "operator.write",
    "operator.admin",
    "operator.pairing",
    "other"
  ])
  const wanted = FastCheck.constantFrom<Scope>(
    "operator.read",
    "operator.write",
    "operator.admin",
    "operator.pairing",
    "operator.approvals"
  )

  it("admin holds all, write holds read, and nothing else implies anything", () => {
    FastCheck.assert(
      FastCheck.property(scopes, wanted, (given, scope) => {
        const expected =
          given.includes("operator.admin") ||
          given.includes(scope) ||
          (scope === "operator.read" && given.includes("operator.write"))
        expect(holds(given, scope)).toBe(expected)
      })
    )
  })

  it("only admins learn that a method does not exist", () => {
    FastCheck.assert(
      FastCheck.property(scopes, (given) => {
        const said = refusal({ method: "m", role: "operator", scopes: given, needs: undefined })
        expect(said?.message).toBe(
          given.includes("operator.admin") ? "unknown method: m" : "missing scope: operator.admin"
        )
        expect(refusal({ method: "m", role: "node", scopes: given, needs: [] })?.message).toBe(
          "unauthorized role: node"
        )
      })
    )
  })
})

describe("idempotency", () => {
  const outcome = (n: number): Outcome => ({ ok: true, payload: { n } })

  it("remembers the last outcome of a key for 5 min, and at most 1000 keys, newest first", () => {
    const steps = FastCheck.array(
      FastCheck.record({
        key: FastCheck.integer({ min: 0, max: 8 }).map(String),
        wait: FastCheck.integer({ min: 0, max: TTL_MILLIS })
      }),
      { maxLength: 40 }
    )
    FastCheck.assert(
      FastCheck.property(steps, (all) => {
        const cache = new Idempotency()
        const model = new Map<string, { readonly at: number; readonly n: number }>()
        let now = 0
        all.forEach(({ key, wait }, n) => {
          now += wait
          cache.set(key, outcome(n), now)
          model.set(key, { at: now, n })
          if (n % 3 === 0) cache.sweep(now)
          for (const [known, { at, n: last }] of model) {
            expect(cache.get(known, now)).toEqual(now - at < TTL_MILLIS ? outcome(last) : undefined)
          }
        })
      }),
      { numRuns: 300 }
    )
  })

  it("drops the oldest beyond its capacity", () => {
    const cache = new Idempotency()
    for (let i = 0; i < CAPACITY + 10; i++) cache.set(`k${i}`, outcome(i), 0)
    expect(cache.size).toBe(CAPACITY)
    expect(cache.get("k9", 0)).toBeUndefined()
    expect(cache.get("k10", 0)).toEqual(outcome(10))
  })

  it("an abort by request has the last word", () => {
    const cache = new Idempotency()
    const aborted: Outcome = { ok: true, payload: { status: "timeout", stopReason: "rpc" } }
    cache.set("run", aborted, 0)
    cache.set("run", outcome(1), 1)
    expect(cache.get("run", 1)).toEqual(aborted)
  })
})

describe("device proofs", () => {
  const signed = {
    clientId: "cli",
    clientMode: "cli",
    role: "operator",
    scopes: ["operator.read"],
    token: "t",
    platform: "Linux ",
    deviceFamily: ""
  }
  const params = {
    client: { id: "cli", mode: "cli", platform: "Linux " },
    role: "operator",
    scopes: ["operator.read"],
    auth: { token: "t" }
  }

  it("whatever is changed of what was signed is refused", () => {
    const device = new TestDevice()
    for (const version of ["v2", "v3"] as const) {
      const proof = device.prove(params, "nonce", { version, signedAt: 1000 })
      expect(Either.isRight(Device.check(proof, signed, "nonce", 1000))).toBe(true)
      const others: ReadonlyArray<Partial<typeof signed>> = [
        { clientId: "test" },
        { clientMode: "test" },
        { role: "node" },
        { scopes: ["operator.admin"] },
        { token: "u" },
        ...(version === "v3" ? [{ platform: "darwin" }, { deviceFamily: "Mac" }] : [])
      ]
      for (const other of others) {
        const checked = Device.check(proof, { ...signed, ...other }, "nonce", 1000)
        expect(Either.isLeft(checked) && checked.left.code).toBe("DEVICE_AUTH_SIGNATURE_INVALID")
      }
    }
  })

  it("is good for 120 s on either side", () => {
    const device = new TestDevice()
    FastCheck.assert(
      FastCheck.property(FastCheck.integer({ min: -200_000, max: 200_000 }), (skew) => {
        const proof = device.prove(params, "nonce", { signedAt: 1_000_000 })
        const checked = Device.check(proof, signed, "nonce", 1_000_000 + skew)
        expect(Either.isRight(checked)).toBe(Math.abs(skew) <= 120_000)
      })
    )
  })

  it("what a known device still needs approved", () => {
    const wanted = {
      organizationId: "o" as never,
      publicKey: "k",
      role: "operator",
      scopes: ["operator.read"],
      platform: "Linux",
      deviceFamily: undefined
    }
    const device = {
      publicKey: "k",
      organizationId: "o",
      platform: "linux",
      deviceFamily: "",
      approved: { operator: ["operator.write"] }
    } as unknown as Parameters<typeof pairingReason>[0]
    expect(pairingReason(undefined, wanted)).toBe("not-paired")
    expect(pairingReason(device, wanted)).toBeUndefined()
    expect(pairingReason(device, { ...wanted, publicKey: "other" })).toBe("not-paired")
    expect(pairingReason(device, { ...wanted, role: "node" })).toBe("role-upgrade")
    expect(pairingReason(device, { ...wanted, scopes: ["operator.admin"] })).toBe("scope-upgrade")
    expect(pairingReason(device, { ...wanted, platform: "darwin" })).toBe("metadata-upgrade")
  })
})

describe("patching", () => {
  const config = Config.defaults
  const before = { entry: {}, label: undefined, spawnedBy: undefined }

  it("null clears whatever a patch set", () => {
    const fields = FastCheck.record(
      {
        thinkingLevel: FastCheck.constantFrom("off", "low", "high"),
        fastMode: FastCheck.boolean(),
        verboseLevel: FastCheck.constantFrom("on", "off", "full"),
        execHost: FastCheck.constantFrom("auto", "node"),
        execNode: FastCheck.constant("n1"),
        sendPolicy: FastCheck.constantFrom("allow" as const, "deny" as const),
        responseUsage: FastCheck.constantFrom("tokens" as const, "full" as const, "on" as const),
        model: FastCheck.constantFrom("anthropic/b", "c")
      },
      { requiredKeys: [] }
    )
    FastCheck.assert(
      FastCheck.property(fields, (patch) => {
        const after = Either.getOrThrow(apply(config, "agent:main:x", before, patch))
        const clear = Object.fromEntries(Object.keys(patch).map((key) => [key, null]))
        const cleared = Either.getOrThrow(apply(config, "agent:main:x", after, clear))
        const { liveModelSwitchPending: _pending, ...rest } = cleared.entry
        expect(rest).toEqual({})
      })
    )
  })

  it("lineage is set once", () => {
    const once = Either.getOrThrow(apply(config, "agent:main:subagent:x", before, { spawnDepth: 2 }))
    expect(Either.isRight(apply(config, "agent:main:subagent:x", once, { spawnDepth: 2 }))).toBe(true)
    expect(Either.isLeft(apply(config, "agent:main:subagent:x", once, { spawnDepth: 3 }))).toBe(true)
    expect(Either.isLeft(apply(config, "agent:main:subagent:x", once, { spawnDepth: null }))).toBe(true)
    expect(Either.isLeft(apply(config, "agent:main:x", before, { spawnDepth: 2 }))).toBe(true)
  })
})

describe("bounds of a plugin's value", () => {
  it("takes JSON and nothing else", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.jsonValue({ maxDepth: 4 }), (value) => {
        expect(isBoundedJson(value)).toBe(true)
      })
    )
    let deep: unknown = 0
    for (let i = 0; i < 33; i++) deep = { a: deep }
    for (const bad of [
      deep,
      undefined,
      Number.NaN,
      1n,
      "x".repeat(65_537),
      Array.from({ length: 4097 }, () => 0),
      Object.fromEntries(Array.from({ length: 513 }, (_, i) => [i, 0]))
    ]) {
      expect(isBoundedJson(bad)).toBe(false)
    }
  })
})

describe("retention", () => {
  const candidate = FastCheck.record({
    sid: FastCheck.nat(),
    key: FastCheck.constantFrom(
      "agent:main:a",
      "agent:main:b",
      "agent:main:telegram:group:1",
      "agent:main:c:thread:2"
    ),
    updatedAt: FastCheck.integer({ min: 0, max: 1000 }),
    active: FastCheck.boolean()
  })

  it("never takes what is protected, and takes the oldest first", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(candidate, { maxLength: 60 }),
        FastCheck.integer({ min: 1, max: 30 }),
        FastCheck.boolean(),
        (given, maxEntries, forceCap) => {
          const all = given.map((each, i) => ({ ...each, sid: i, key: `${each.key}` }))
          const { cap, prune } = plan(
            all,
            { pruneAfter: 500, maxEntries },
            { nowMillis: 1000, activeKey: "agent:main:b", forceCap }
          )
          const free = (each: (typeof all)[number]) =>
            !each.active && each.key !== "agent:main:b" && !Keys.isProtected(each.key)
          for (const each of [...prune, ...cap]) expect(free(each as (typeof all)[number])).toBe(true)
          for (const each of prune) expect(each.updatedAt).toBeLessThan(500)
          expect(new Set([...prune, ...cap]).size).toBe(prune.length + cap.length)
          const left = all.length - prune.length
          if (left <= (forceCap ? maxEntries : highWater(maxEntries))) expect(cap).toEqual([])
          else {
            const removable = all.filter((each) => !prune.includes(each) && free(each))
            expect(cap.length).toBe(Math.min(removable.length, left - maxEntries))
            const kept = removable.filter((each) => !cap.includes(each))
            for (const gone of cap)
              for (const stays of kept) expect(gone.updatedAt).toBeLessThanOrEqual(stays.updatedAt)
          }
        }
      ),
      { numRuns: 500 }
    )
  })
})

describe("small things", () => {
  it("close reasons hold at most 120 bytes and whole characters", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.fullUnicodeString({ maxLength: 200 }), (text) => {
        const cut = closeReason(text)
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(120)
        expect(cut).not.toContain("\ufffd".repeat(text.includes("\ufffd") ? 1000 : 1))
        expect(text.startsWith(cut)).toBe(true)
      })
    )
  })

  it("previews fit, and say what is called", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.string({ maxLength: 400 }),
        FastCheck.integer({ min: 20, max: 300 }),
        (text, max) => {
          const item = previewItem(
            { role: "assistant", content: [{ type: "text", text }], timestamp: 0 },
            max
          )
          if (text.trim() === "") expect(item).toBeUndefined()
          else expect(item?.text.length).toBeLessThanOrEqual(max)
        }
      )
    )
    const calls = ["a", "b", "c"].map((name) => ({ type: "toolCall", name }))
    expect(previewItem({ role: "assistant", content: calls, timestamp: 0 }, 240)).toEqual({
      role: "tool",
      text: "call a, b +1"
    })
    expect(
      previewItem({ role: "user", content: [{ type: "image", mimeType: "image/png" }], timestamp: 0 }, 240)
    ).toEqual({ role: "user", text: "[image/png]" })
    expect(
      previewItem(
        { role: "user", content: [{ type: "text", text: "[Sat 2026-11-21 01:42 UTC] hi" }], timestamp: 0 },
        240
      )?.text
    ).toBe("hi")
  })

  it("words that stop a run, and words that only hold one", () => {
    for (const text of ["stop", " STOP. ", "/stop", "please stop"]) expect(isStop(text)).toBe(true)
    for (const text of ["stop the server", "do not stop", ""]) expect(isStop(text)).toBe(false)
  })

  it("a run expires a minute after its timeout, within bounds", () => {
    expect(expiry(0, 0)).toBe(24 * 3_600_000)
    expect(expiry(0, 1000)).toBe(120_000)
    expect(expiry(0, 600_000)).toBe(660_000)
  })
})

describe("configuration", () => {
  it("an empty file is the defaults", () => {
    expect(Either.getOrThrow(Config.parse("{}"))).toEqual(Config.defaults)
  })

  it("the example of the documents fits", () => {
    const text = readFileSync(new URL("../../../../docs/gateway.md", import.meta.url), "utf8")
    const example = /```json\n([\s\S]*?)```/.exec(text)?.[1] ?? ""
    expect(Either.getOrThrow(Config.parse(example)).agentIds).toEqual(["main", "ops"])
  })

  it("durations and sizes", () => {
    const config = Either.getOrThrow(
      Config.parse(
        '{"session":{"maintenance":{"pruneAfter":"12h","maxDiskBytes":"10mb","resetArchiveRetention":false}}}'
      )
    )
    expect(config.maintenance).toEqual({
      mode: "enforce",
      pruneAfter: 12 * 3_600_000,
      maxEntries: 500,
      resetArchiveRetention: undefined,
      maxDiskBytes: 10 * 1024 ** 2,
      highWaterBytes: Math.floor(10 * 1024 ** 2 * 0.8),
      automatic: true
    })
  })

  it("what does not fit is told with its place, and a password never", () => {
    for (const [text, place] of [
      ['{"agents":[{"id":7}]}', "agents"],
      ['{"nope":1}', "nope"],
      ['{"session":{"maintenance":{"pruneAfter":"soon"}}}', "pruneAfter"],
      ['{"gateway":{"auth":{"password":"s3cret"', "not JSON"]
    ] as const) {
      const read = Config.parse(text)
      expect(Either.isLeft(read) && read.left).toContain(place)
    }
    const broken = Config.parse('{"gateway":{"auth":{"password":"s3cret" x')
    expect(Either.isLeft(broken) && broken.left).toBe("not JSON")
    const secret = Config.parse('{"gateway":{"auth":{"password":{"leak":"s3cret"}}}}')
    expect(Either.isLeft(secret) && secret.left).not.toContain("s3cret")
  })

  it("the default agent is the marked one, else the first", () => {
    const of = (agents: unknown) => Either.getOrThrow(Config.parse(JSON.stringify({ agents }))).defaultAgentId
    expect(of([{ id: "a" }, { id: "B b", default: true }])).toBe("b-b")
    expect(of([{ id: "a" }, { id: "b" }])).toBe("a")
    expect(of([])).toBe("main")
  })
})
