/** `devices list / approve / reject / revoke / code`: which devices may use a hub, and how another one gets in. */
import * as Visible from "@causeway/protocol/Visible"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { withDevices } from "../Devices.ts"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { Output } from "../Output.ts"
import * as PageAddress from "../PageAddress.ts"
import * as SignIn from "../SignIn.ts"

const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())

const list = Command.make("list", Flags.remote, (flags) =>
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
          `waiting   ${request.requestId}  ${Visible.text(request.name ?? request.clientId)} (${Visible.text(request.platform)}) wants ${Visible.text(request.role)}: ${Visible.text(request.scopes.join(", "))}`,
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
          `approved  ${device.deviceId}  ${Visible.text(device.name ?? device.clientId)} (${Visible.text(device.platform)})`
        )
      }
      if (waiting.length + approved.length === 0) {
        yield* output.progress(`no device is approved, and none waits; ${SignIn.HOW} lets one in`)
      }
    })
  )
).pipe(Command.withDescription("List devices that are approved, and those that wait"))

const requestId = Args.text({ name: "request-id" })

const approve = Command.make("approve", { ...Flags.remote, requestId }, ({ requestId, ...flags }) =>
  withDevices(flags, ({ devices }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const { deviceId, role } = yield* devices.approve(requestId)
      yield* output.value({ event: "device_approved", device_id: deviceId, role })
      yield* output.line(`${deviceId} may connect as ${role}`)
    })
  )
).pipe(Command.withDescription("Let a waiting device in"))

const reject = Command.make("reject", { ...Flags.remote, requestId }, ({ requestId, ...flags }) =>
  withDevices(flags, ({ devices }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const { deviceId } = yield* devices.reject(requestId)
      yield* output.value({ event: "device_rejected", device_id: deviceId })
      yield* output.line(`${deviceId} was not let in`)
    })
  )
).pipe(Command.withDescription("Turn a waiting device away"))

const revoking = (name: string) =>
  Command.make(
    name,
    { ...Flags.remote, deviceId: Args.text({ name: "device-id" }) },
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

const revoke = revoking("revoke").pipe(
  Command.withDescription("Forget a device, end its tokens and what it has open")
)
const remove = revoking("remove").pipe(Command.withDescription("The same as revoke"))

const MINUTES = { least: 1, most: 24 * 60 } as const

const code = Command.make(
  "code",
  {
    ...Flags.remote,
    ttl: Options.integer("ttl").pipe(
      Options.withDefault(10),
      Options.withDescription("How many minutes the code is good, up to 1440")
    ),
    label: Options.text("label").pipe(Options.optional, Options.withDescription("What it is for"))
  },
  ({ ttl, label, ...flags }) =>
    Effect.gen(function* () {
      const output = yield* Output
      if (ttl < MINUTES.least || ttl > MINUTES.most) {
        return yield* new Failure({
          message: `a code cannot be good for ${ttl} minutes`,
          next: `name ${MINUTES.least} to ${MINUTES.most} minutes with --ttl`,
          exitCode: ExitCode.usage
        })
      }
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
).pipe(
  Command.withDescription("Make a one-time code, and the address and QR code that let another device in")
)

export const devices = Command.make("devices").pipe(
  Command.withDescription("Devices that use the hub"),
  Command.withSubcommands([list, approve, reject, revoke, remove, code])
)
