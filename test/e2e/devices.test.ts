/** Getting in, whole: codes that the command line makes let devices in; it approves, rejects and revokes them. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Gateway from "../../packages/hub/test/Gateway/harness.ts"
import * as Directory from "../support/Directory.ts"
import * as Program from "../support/Program.ts"

const machine = Directory.temporary("devices")

const hub = (state: string, ...more: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const program = yield* Program.start([
      "hub",
      "--json",
      "--print-code",
      "--port",
      "0",
      "--state-dir",
      state,
      ...more
    ])
    const ready = yield* program.line((line) => line["event"] === "ready")
    return { program, ready, target: { url: `${String(ready["gateway_url"])}/gateway`, token: "" } }
  })

const devices = (state: string, ...args: ReadonlyArray<string>) =>
  Program.run(["devices", ...args, "--state-dir", state, "--json"])

const one = (ended: Program.Ended): Program.Line => Program.jsonLines(ended)[0] ?? {}

/** The page, as it introduces itself. */
const asPage = (auth: Gateway.Frame, scopes: ReadonlyArray<string> = ["operator.read"]) => ({
  client: { id: "openclaw-control-ui", mode: "ui", version: "1", platform: "web", displayName: "A phone" },
  auth,
  scopes
})

/** Connects as a page does; what it was answered, and the connection. */
const page = (
  target: Gateway.Target,
  device: Gateway.Device,
  auth: Gateway.Frame,
  scopes?: ReadonlyArray<string>
) =>
  Effect.gen(function* () {
    const client = yield* Gateway.open(target, { origin: target.url.replace(/^ws(.*)\/gateway$/, "http$1") })
    const answer = yield* Effect.promise(() => client.connect(asPage(auth, scopes), device))
    return { client, answer }
  })

describe("getting in", () => {
  it.scopedLive(
    "a code lets one device in, which is listed, kept across connections, and revoked at once",
    () =>
      Effect.gen(function* () {
        const state = yield* machine
        const { program, ready, target } = yield* hub(state)
        expect(ready).toMatchObject({ code: expect.any(String), code_expires_at: expect.any(String) })

        const made = one(yield* devices(state, "code", "--ttl", "2"))
        expect(made).toMatchObject({
          event: "device_code",
          url: `${String(ready["url"])}/#code=${String(made["code"])}`
        })
        const left = Date.parse(String(made["expires_at"])) - Date.now()
        expect(left).toBeGreaterThan(0)
        expect(left).toBeLessThanOrEqual(120_000)

        const phone = new Gateway.Device()
        const first = yield* page(target, phone, { bootstrapToken: made["code"] })
        expect(first.answer["ok"]).toBe(true)
        const deviceToken = first.answer["payload"].auth.deviceToken
        const second = yield* page(target, phone, { deviceToken })
        expect(second.answer["ok"]).toBe(true)

        const stranger = yield* page(target, new Gateway.Device(), { bootstrapToken: made["code"] })
        expect(stranger.answer["error"].details).toMatchObject({
          code: "AUTH_BOOTSTRAP_TOKEN_INVALID",
          reason: "used"
        })

        const listed = Program.jsonLines(yield* devices(state, "list"))
        expect(listed).toEqual([
          expect.objectContaining({ state: "approved", device_id: phone.id, name: "A phone" })
        ])

        const revoked = yield* devices(state, "revoke", phone.id)
        expect(one(revoked)).toEqual({ event: "device_removed", device_id: phone.id })
        expect((yield* Effect.promise(() => second.client.untilClosed())).code).toBe(1008)
        const again = yield* page(target, phone, { deviceToken })
        expect(again.answer["error"].details.code).toBe("AUTH_DEVICE_TOKEN_MISMATCH")
        expect((yield* devices(state, "revoke", phone.id)).code).toBe(4)

        // The code that the start printed is a good one, too; no code is written down anywhere.
        const printed = yield* page(target, new Gateway.Device(), { bootstrapToken: ready["code"] })
        expect(printed.answer["ok"]).toBe(true)
        yield* program.kill("SIGTERM")
        const ended = yield* program.ended
        expect(ended.stderr).not.toContain(String(ready["code"]))
        const kept = yield* Effect.sync(() => readFileSync(join(state, "hub.db")).toString("latin1"))
        for (const code of [String(ready["code"]), String(made["code"])]) {
          expect([kept.includes(code), kept.includes(code.replaceAll("-", ""))]).toEqual([false, false])
        }
      })
  )

  it.scopedLive("what waits is approved or turned away by its request", () =>
    Effect.gen(function* () {
      const state = yield* machine
      const { ready, target } = yield* hub(state)
      const token = String(ready["token"])
      const laptop = new Gateway.Device()
      const first = yield* page(target, laptop, { token })
      expect(first.answer["ok"]).toBe(true)

      // More than it has: a person decides.
      const wanted = ["operator.read", "operator.write"]
      const refused = yield* page(target, laptop, { token }, wanted)
      expect(refused.answer["error"].code).toBe("NOT_PAIRED")
      const requestId = String(refused.answer["error"].details.requestId)
      expect(Program.jsonLines(yield* devices(state, "list"))[0]).toMatchObject({
        state: "waiting",
        request_id: requestId,
        device_id: laptop.id,
        scopes: wanted,
        reason: "scope-upgrade"
      })
      expect(one(yield* devices(state, "approve", requestId))).toEqual({
        event: "device_approved",
        device_id: laptop.id,
        role: "operator",
        scopes: wanted
      })
      expect((yield* page(target, laptop, { token }, wanted)).answer["ok"]).toBe(true)
      expect((yield* devices(state, "approve", requestId)).code).toBe(4)

      const more = yield* page(target, laptop, { token }, [...wanted, "operator.admin"])
      const another = String(more.answer["error"].details.requestId)
      expect(one(yield* devices(state, "reject", another))).toEqual({
        event: "device_rejected",
        device_id: laptop.id
      })
      expect(Program.jsonLines(yield* devices(state, "list")).map((line) => line["state"])).toEqual([
        "approved"
      ])
    })
  )

  it.scopedLive(
    "without its hub: devices are managed in the database, and a code is refused with what to do",
    () =>
      Effect.gen(function* () {
        const state = yield* machine
        const { program, ready, target } = yield* hub(state)
        const device = new Gateway.Device()
        expect((yield* page(target, device, { token: ready["token"] })).answer["ok"]).toBe(true)
        yield* program.kill("SIGKILL")
        yield* program.ended

        expect(Program.jsonLines(yield* devices(state, "list"))).toEqual([
          expect.objectContaining({ device_id: device.id })
        ])
        const code = yield* devices(state, "code")
        expect({ code: code.code, said: one(code) }).toEqual({
          code: 1,
          said: expect.objectContaining({
            event: "error",
            message: expect.stringContaining("the hub is not running")
          })
        })
        expect((yield* devices(state, "revoke", device.id)).code).toBe(0)
        expect(Program.jsonLines(yield* devices(state, "list"))).toEqual([])
      })
  )

  it.scopedLive("the words of each failure, and where the address for others comes from", () =>
    Effect.gen(function* () {
      const state = yield* machine
      yield* hub(state, "--public-url", "https://causeway.example/x/")
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, RegExp]> = [
        [["code", "--ttl", "0"], 2, /whole number from 1 to 1440/],
        [["code", "--ttl", "1441"], 2, /whole number from 1 to 1440/],
        [["code", "--token", "cw_wrong"], 3, /token mismatch/],
        [["list", "--hub", "http://127.0.0.1:9"], 1, /did not answer/],
        [["list", "--hub", "ftp://x"], 2, /is not a scheme of a hub/],
        [["approve", "nobody"], 4, /no pairing request nobody is waiting/],
        [["reject", "nobody"], 4, /no pairing request nobody is waiting/],
        [["revoke", "nobody"], 4, /there is no device nobody/]
      ]
      for (const [args, code, words] of cases) {
        const ended = yield* devices(state, ...args)
        expect({ args, code: ended.code, said: ended.stdout }).toEqual({
          args,
          code,
          said: expect.stringMatching(words)
        })
      }
      expect(one(yield* devices(state, "code"))["url"]).toMatch(
        /^https:\/\/causeway\.example\/x\/#code=[0-9A-Z-]{34}$/
      )
      const wrong = yield* Program.run([
        "hub",
        "--port",
        "0",
        "--state-dir",
        join(state, "b"),
        "--public-url",
        "ftp://x"
      ])
      expect({ code: wrong.code, said: wrong.stderr }).toEqual({
        code: 2,
        said: expect.stringContaining("--public-url: ftp: is not a scheme of a hub")
      })
    })
  )
})
