/** `devices list / approve / reject / revoke / code`: which devices may use a hub, and how another one gets in. */
import * as Visible from "@causeway/protocol/Visible"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import { withDevices } from "../Devices.ts"
import { Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as PageAddress from "../PageAddress.ts"
import * as SignIn from "../SignIn.ts"

const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())

const list = Command.make("list", "Devices that are approved, and those that wait", Flags.remote, (flags) =>
  withDevices(flags, ({ devices }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const { waiting, approved } = yield* devices.list
      for (const request of waiting) {
        yield* output.value({
          state: "waiting",
          request_id: request.requestId,
          device_id: request.deviceId,
          name: request.name ?? null,
          platform: request.platform,
          role: request.role,
          scopes: request.scopes,
          reason: request.reason,
          address: request.address ?? null,
          created_at: iso(request.createdAt)
        })
        yield* output.line(
          `waiting   ${request.requestId}  ${Visible.line(request.name ?? request.clientId)} (${Visible.line(request.platform)}) wants ${Visible.line(request.role)}: ${Visible.line(request.scopes.join(", "))}`,
          "warn"
        )
      }
      for (const device of approved) {
        yield* output.value({
          state: "approved",
          device_id: device.deviceId,
          name: device.name ?? null,
          platform: device.platform,
          approved: device.approved,
          approved_at: iso(device.approvedAt),
          last_seen_at: iso(device.lastSeenAt)
        })
        yield* output.line(
          `approved  ${device.deviceId}  ${Visible.line(device.name ?? device.clientId)} (${Visible.line(device.platform)})`
        )
      }
      if (waiting.length + approved.length === 0) {
        yield* output.progress(`no device is approved, and none waits; ${SignIn.HOW} lets one in`)
      }
    })
  )
)

const requestId = Argument.text("REQUEST-ID", "As `devices list` shows it")

const approve = Command.make(
  "approve",
  "Let a waiting device in",
  { ...Flags.remote, requestId },
  ({ requestId, ...flags }) =>
    withDevices(flags, ({ devices }) =>
      Effect.gen(function* () {
        const output = yield* Output
        const { deviceId, role } = yield* devices.approve(requestId)
        yield* output.value({ event: "device_approved", device_id: deviceId, role })
        yield* output.line(`${deviceId} may connect as ${role}`)
      })
    )
)

const reject = Command.make(
  "reject",
  "Turn a waiting device away",
  { ...Flags.remote, requestId },
  ({ requestId, ...flags }) =>
    withDevices(flags, ({ devices }) =>
      Effect.gen(function* () {
        const output = yield* Output
        const { deviceId } = yield* devices.reject(requestId)
        yield* output.value({ event: "device_rejected", device_id: deviceId })
        yield* output.line(`${deviceId} was not let in`)
      })
    )
)

const revoking = (name: string, description: string) =>
  Command.make(
    name,
    description,
    { ...Flags.remote, deviceId: Argument.text("DEVICE-ID", "As `devices list` shows it") },
    ({ deviceId, ...flags }) =>
      withDevices(flags, ({ devices }) =>
        Effect.gen(function* () {
          const output = yield* Output
          yield* devices.revoke(deviceId)
          yield* output.value({ event: "device_removed", device_id: deviceId })
          yield* output.line(`${deviceId} is forgotten; its tokens open nothing any more`)
        })
      )
  )

const revoke = revoking("revoke", "Forget a device, end its tokens and what it has open")
const remove = revoking("remove", "The same as revoke")

const code = Command.make(
  "code",
  "A one-time code that lets another device in",
  {
    ...Flags.remote,
    ttl: Flag.withDefault(
      Flag.integer("ttl", {
        value: "MINUTES",
        least: 1,
        most: 24 * 60,
        description: "How long it is good (default: 10)"
      }),
      10
    ),
    label: Flag.text("label", { value: "TEXT", description: "What it is for" })
  },
  ({ ttl, label, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      yield* withDevices(flags, ({ devices, hub }) =>
        Effect.gen(function* () {
          if (Option.isNone(hub)) {
            return yield* new Failure({
              message: "the hub does not run, so there is nothing to open",
              next: "start it with `node apps/bridge`, or name another with --hub"
            })
          }
          const { url, others } = hub.value
          const made = yield* devices.code({
            ttl: Duration.minutes(ttl),
            label: Option.getOrUndefined(label)
          })
          const address = PageAddress.withCode(
            Option.getOrElse(others, () => url),
            made.code
          )
          yield* output.value({
            event: "device_code",
            url: address,
            code: Redacted.value(made.code),
            expires_at: iso(made.expiresAt)
          })
          if (Option.isSome(others)) yield* SignIn.draw(address)
          yield* output.line(address, "strong")
          yield* output.line(`  lets one device in, once, until ${SignIn.until(made.expiresAt)}`, "dim")
          if (Option.isNone(others)) {
            yield* output.line(
              `  This hub listens for this machine alone. For a phone: ${SignIn.HOW_OTHERS}`,
              "dim"
            )
          }
        })
      )
    })
)

export const devices = Command.group("devices", "Devices that use the hub", [
  list,
  approve,
  reject,
  revoke,
  remove,
  code
])
