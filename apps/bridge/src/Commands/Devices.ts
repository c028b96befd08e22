/** `devices list / approve / reject / remove`: which devices may use the gateway, on the hub's own machine. */
import * as GatewayDevices from "@causeway/store/GatewayDevices"
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { ExitCode, Failure } from "../Failure.ts"
import * as Flags from "../Flags.ts"
import { organization, withDatabase } from "../LocalStore.ts"
import { Output, printable } from "../Output.ts"

const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())

const list = Command.make("list", Flags.common, ({ stateDir }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const devices = yield* GatewayDevices.GatewayDevices
    const { id } = yield* organization
    for (const request of yield* devices.requests(id)) {
      yield* output.value({
        state: "waiting",
        request_id: request.requestId,
        device_id: request.deviceId,
        name: request.displayName ?? null,
        platform: request.platform,
        role: request.role,
        scopes: request.scopes,
        reason: request.reason,
        address: request.remoteAddress ?? null,
        created_at: iso(request.createdAt)
      })
      yield* output.line(
        `waiting   ${request.requestId}  ${printable(request.displayName ?? request.clientId)} (${printable(request.platform)}) wants ${request.role}: ${request.scopes.join(", ")}`,
        "warn"
      )
    }
    for (const device of yield* devices.list(id)) {
      yield* output.value({
        state: "approved",
        device_id: device.deviceId,
        name: device.displayName ?? null,
        platform: device.platform,
        approved: device.approved,
        approved_at: iso(device.approvedAt),
        last_seen_at: iso(device.lastSeenAt)
      })
      yield* output.line(
        `approved  ${device.deviceId}  ${printable(device.displayName ?? device.clientId)} (${printable(device.platform)})`
      )
    }
  }).pipe(withDatabase(stateDir))
).pipe(Command.withDescription("List devices that are approved, and those that wait"))

const take = (requestId: string) =>
  Effect.gen(function* () {
    const devices = yield* GatewayDevices.GatewayDevices
    const { id } = yield* organization
    const request = yield* devices.takeRequest(id, requestId)
    if (request !== undefined) return request
    return yield* new Failure({
      message: `no device waits under ${printable(requestId)}`,
      next: "`devices list` shows those that wait",
      exitCode: ExitCode.notFound
    })
  })

const requestId = Args.text({ name: "request-id" })

const approve = Command.make("approve", { ...Flags.common, requestId }, ({ stateDir, requestId }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const devices = yield* GatewayDevices.GatewayDevices
    const request = yield* take(requestId)
    yield* devices.approve(request, request.role, request.scopes)
    yield* output.value({ event: "device_approved", device_id: request.deviceId, role: request.role })
    yield* output.line(`${request.deviceId} may connect as ${request.role}`)
  }).pipe(withDatabase(stateDir))
).pipe(Command.withDescription("Let a waiting device in"))

const reject = Command.make("reject", { ...Flags.common, requestId }, ({ stateDir, requestId }) =>
  Effect.gen(function* () {
    const output = yield* Output
    const request = yield* take(requestId)
    yield* output.value({ event: "device_rejected", device_id: request.deviceId })
    yield* output.line(`${request.deviceId} was not let in`)
  }).pipe(withDatabase(stateDir))
).pipe(Command.withDescription("Turn a waiting device away"))

const remove = Command.make(
  "remove",
  { ...Flags.common, deviceId: Args.text({ name: "device-id" }) },
  ({ stateDir, deviceId }) =>
    Effect.gen(function* () {
      const output = yield* Output
      const devices = yield* GatewayDevices.GatewayDevices
      const { id } = yield* organization
      if (!(yield* devices.remove(id, deviceId))) {
        return yield* new Failure({
          message: `no device ${printable(deviceId)} is known`,
          next: "`devices list` shows them",
          exitCode: ExitCode.notFound
        })
      }
      yield* output.value({ event: "device_removed", device_id: deviceId })
      yield* output.line(`${deviceId} is forgotten; its tokens open nothing any more`)
    }).pipe(withDatabase(stateDir))
).pipe(Command.withDescription("Forget a device and end its tokens"))

export const devices = Command.make("devices").pipe(
  Command.withDescription("Devices that use the gateway of this machine's hub"),
  Command.withSubcommands([list, approve, reject, remove])
)
