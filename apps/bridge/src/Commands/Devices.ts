/** `devices list / approve / reject / revoke / code`: which devices may use a hub, and how another one gets in. */
import * as Visible from "@causeway/protocol/Visible"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Argument from "../Cli/Argument.ts"
import * as Command from "../Cli/Command.ts"
import * as Flag from "../Cli/Flag.ts"
import * as Devices from "../Devices.ts"
import { Failure } from "../Failure.ts"
import * as PageAddress from "../PageAddress.ts"
import * as SignIn from "../SignIn.ts"

const iso = (millis: number | undefined) => (millis === undefined ? null : new Date(millis).toISOString())

const list = Devices.command(
  "list",
  "List approved devices and pairing requests",
  {},
  ({ devices }, output) =>
    Effect.gen(function* () {
      const { waiting, approved } = yield* devices.list
      const nameOf = ({
        clientId,
        displayName,
        platform
      }: (typeof waiting)[number] | (typeof approved)[number]) =>
        `${Visible.line(displayName ?? clientId)} (${Visible.line(platform)})`
      for (const request of waiting) {
        const { requestId, deviceId, platform, role, scopes, reason } = request
        yield* output.tell(
          {
            state: "waiting",
            request_id: requestId,
            device_id: deviceId,
            name: request.displayName ?? null,
            platform,
            role,
            scopes,
            reason,
            address: request.remoteAddress ?? null,
            created_at: iso(request.createdAt)
          },
          `waiting   ${Visible.line(requestId)}  ${nameOf(request)} wants ${Visible.line(role)}: ${Visible.line(scopes.join(", "))}`,
          "warn"
        )
      }
      for (const device of approved) {
        yield* output.tell(
          {
            state: "approved",
            device_id: device.deviceId,
            name: device.displayName ?? null,
            platform: device.platform,
            approved: device.approved,
            approved_at: iso(device.approvedAt),
            last_seen_at: iso(device.lastSeenAt)
          },
          `approved  ${Visible.line(device.deviceId)}  ${nameOf(device)}`
        )
      }
      if (waiting.length + approved.length === 0) {
        yield* output.progress(`no devices; ${SignIn.HOW} lets one in`)
      }
    })
)

const requestId = Argument.text("REQUEST-ID", "As `devices list` shows it")

const approve = Devices.command(
  "approve",
  "Approve a pairing request",
  { requestId },
  ({ devices }, output, { requestId }) =>
    Effect.flatMap(devices.approve(requestId), ({ deviceId, role, scopes }) =>
      output.tell(
        { event: "device_approved", device_id: deviceId, role, scopes },
        `${deviceId} may connect as ${Visible.line(role)}: ${Visible.line(scopes.join(", "))}`
      )
    )
)

const reject = Devices.command(
  "reject",
  "Reject a pairing request",
  { requestId },
  ({ devices }, output, { requestId }) =>
    Effect.flatMap(devices.reject(requestId), ({ deviceId }) =>
      output.tell({ event: "device_rejected", device_id: deviceId }, `${deviceId} was rejected`)
    )
)

const revoking = (name: string, description: string) =>
  Devices.command(
    name,
    description,
    { deviceId: Argument.text("DEVICE-ID", "As `devices list` shows it") },
    ({ devices }, output, { deviceId }) =>
      Effect.zipRight(
        devices.revoke(deviceId),
        output.tell(
          { event: "device_removed", device_id: deviceId },
          `${deviceId} is removed; its tokens no longer work`
        )
      )
  )

const code = Devices.command(
  "code",
  "Make a one-time code that signs in a device",
  {
    ttl: Flag.withDefault(
      Flag.integer("ttl", "MINUTES", [1, 24 * 60], "How long it is valid (default: 10)"),
      10
    ),
    label: Flag.text("label", "TEXT", "What it is for")
  },
  ({ devices, hub }, output, { label, ttl }) =>
    Effect.gen(function* () {
      if (Option.isNone(hub)) {
        return yield* Failure.failed(
          "the hub is not running",
          "start it with `node apps/bridge`, or name another with --hub"
        )
      }
      const { url, others } = hub.value
      const { code, expiresAt } = yield* devices.code({
        ttl: Duration.minutes(ttl),
        label: Option.getOrUndefined(label)
      })
      const address = PageAddress.withCode(
        Option.getOrElse(others, () => url),
        code
      )
      yield* output.value({
        event: "device_code",
        url: address,
        code: Redacted.value(code),
        expires_at: iso(expiresAt)
      })
      if (Option.isSome(others)) yield* SignIn.draw(address)
      yield* output.line(address, "strong")
      yield* output.line(`  lets one device in, once, until ${SignIn.until(expiresAt)}`, "dim")
      if (Option.isNone(others)) {
        yield* output.line(`  Only this machine can reach the hub. For a phone: ${SignIn.HOW_OTHERS}`, "dim")
      }
    })
)

export const devices = Command.group("devices", "Devices that use the hub", [
  list,
  approve,
  reject,
  revoking("revoke", "Remove a device, its tokens and connections"),
  revoking("remove", "Same as revoke"),
  code
])
