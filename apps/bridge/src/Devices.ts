/**
 * The devices of a hub, as commands manage them: over its gateway, which tells everybody at once and closes what a
 * revoked device has open; in its database, where the hub of this state directory does not run.
 */

import * as Visible from "@causeway/protocol/Visible"
import * as DeviceCodes from "@causeway/store/DeviceCodes"
import * as DeviceStore from "@causeway/store/Devices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Command from "./Cli/Command.ts"
import { Failure } from "./Failure.ts"
import * as Flags from "./Flags.ts"
import * as GatewayClient from "./GatewayClient.ts"
import { organization, withDatabase } from "./LocalStore.ts"
import { Output } from "./Output.ts"
import * as Remote from "./Remote.ts"

/** A code that lets one device in, once. */
export interface Code {
  readonly code: Redacted.Redacted
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

const renamed = <A, I>(schema: Schema.Schema<A, I>, key: string) =>
  Schema.propertySignature(schema).pipe(Schema.fromKey(key))

const Device = {
  deviceId: Schema.String,
  displayName: Schema.optional(Schema.String),
  platform: Schema.String,
  clientId: Schema.String
}

/** A device that waits for a person. Times are milliseconds since the epoch. */
const Waiting = Schema.Struct({
  ...Device,
  requestId: Schema.String,
  role: Schema.String,
  scopes: Schema.Array(Schema.String),
  reason: Schema.String,
  remoteAddress: Schema.optional(Schema.String).pipe(Schema.fromKey("remoteIp")),
  createdAt: renamed(Schema.Number, "ts")
})

const Paired = Schema.Struct({
  ...Device,
  tokens: Schema.Array(Schema.Struct({ role: Schema.String, scopes: Schema.Array(Schema.String) })),
  approvedAt: renamed(Schema.Number, "approvedAtMs"),
  lastSeenAt: Schema.optional(Schema.Number).pipe(Schema.fromKey("lastSeenAtMs"))
})

/** A device that may connect. */
interface Approved extends Omit<typeof Paired.Type, "tokens"> {
  /** Role → scopes. */
  readonly approved: { readonly [role: string]: ReadonlyArray<string> }
}

export interface Devices {
  readonly list: Effect.Effect<
    { readonly waiting: ReadonlyArray<typeof Waiting.Type>; readonly approved: ReadonlyArray<Approved> },
    Failure
  >
  readonly approve: (
    requestId: string
  ) => Effect.Effect<
    { readonly deviceId: string; readonly role: string; readonly scopes: ReadonlyArray<string> },
    Failure
  >
  readonly reject: (requestId: string) => Effect.Effect<{ readonly deviceId: string }, Failure>
  /** Forgets a device and ends its tokens. */
  readonly revoke: (deviceId: string) => Effect.Effect<void, Failure>
  readonly code: (options: {
    readonly ttl: Duration.Duration
    readonly label: string | undefined
  }) => Effect.Effect<Code, Failure>
}

const unknown = (message: string) => Failure.notFound(message, "`devices list` shows them")

const noRequest = (requestId: string) => unknown(`no pairing request ${Visible.line(requestId)} is waiting`)

const noDevice = (deviceId: string) => unknown(`there is no device ${Visible.line(deviceId)}`)

// --- Over the gateway --------------------------------------------------------

/** What the gateway's refusals mean to a person. */
export const failure = (error: GatewayClient.GatewayError): Failure => {
  if (error._tag === "GatewayUnreachable") {
    return Failure.failed(
      error.message,
      "is the hub running? start it with `node apps/bridge`, or name another with --hub"
    )
  }
  if (error.words.startsWith("missing scope")) {
    return Failure.refused(
      "the access token alone may not manage devices from another machine",
      "do it on the hub's own machine, or under Devices on a page that is signed in"
    )
  }
  if (error.method === "connect" && error.code !== "UNAVAILABLE") {
    return Failure.refused(
      error.message,
      "give a valid token with --token-file or CAUSEWAY_TOKEN (`token create` on the hub's machine makes one)"
    )
  }
  return Failure.failed(error.message)
}

const List = Schema.Struct({ pending: Schema.Array(Waiting), paired: Schema.Array(Paired) })

const CodeAnswer = Schema.Struct({ code: Schema.Redacted(Schema.String), expiresAtMs: Schema.Number })

const overGateway = ({ request }: GatewayClient.Connection): Devices => {
  /** `unknown`: what the hub says where the id is none of its own. */
  const about =
    (unknown: string, missing: Failure) =>
    <A>(effect: Effect.Effect<A, GatewayClient.GatewayError>): Effect.Effect<A, Failure> =>
      Effect.mapError(effect, (error) =>
        error._tag === "GatewayRefused" && error.words.startsWith(unknown) ? missing : failure(error)
      )
  const list = Effect.mapError(request("device.pair.list", {}, List), failure)
  return {
    list: Effect.map(list, ({ pending, paired }) => ({
      waiting: pending,
      approved: paired.map(({ tokens, ...device }) => ({
        ...device,
        approved: Object.fromEntries(tokens.map(({ role, scopes }) => [role, scopes]))
      }))
    })),
    approve: (requestId) =>
      Effect.gen(function* () {
        const asked = (yield* list).pending.find((each) => each.requestId === requestId)
        if (asked === undefined) return yield* noRequest(requestId)
        const { role, scopes } = asked
        yield* request("device.pair.approve", { requestId, role, scopes }, Schema.Unknown).pipe(
          about("unknown requestId", noRequest(requestId))
        )
        return asked
      }),
    reject: (requestId) =>
      request("device.pair.reject", { requestId }, Schema.Struct({ deviceId: Schema.String })).pipe(
        about("unknown requestId", noRequest(requestId))
      ),
    revoke: (deviceId) =>
      Effect.asVoid(
        request("device.pair.remove", { deviceId }, Schema.Unknown).pipe(
          about("unknown deviceId", noDevice(deviceId))
        )
      ),
    code: ({ ttl, label }) =>
      request(
        "device.code.create",
        { ttlSeconds: Math.round(Duration.toSeconds(ttl)), ...(label === undefined ? {} : { label }) },
        CodeAnswer
      ).pipe(
        Effect.map(({ code, expiresAtMs }) => ({ code, expiresAt: expiresAtMs })),
        Effect.mapError(failure)
      )
  }
}

// --- In the database ---------------------------------------------------------

const inDatabase = Effect.gen(function* () {
  const codes = yield* DeviceCodes.DeviceCodes
  const devices = yield* DeviceStore.Devices
  const { id } = yield* organization
  const stored = <A>(effect: Effect.Effect<A, { readonly message: string }>): Effect.Effect<A, Failure> =>
    Effect.mapError(effect, ({ message }) => Failure.failed(message))
  const orNone =
    (requestId: string) =>
    <A>(request: A | undefined) =>
      request === undefined ? noRequest(requestId) : Effect.succeed(request)
  const access: Devices = {
    list: Effect.all({ waiting: stored(devices.requests(id)), approved: stored(devices.list(id)) }),
    approve: (requestId) =>
      stored(devices.requests(id)).pipe(
        Effect.map((all) => all.find((each) => each.requestId === requestId)),
        Effect.flatMap(orNone(requestId)),
        Effect.tap((request) => stored(devices.approve(request, request.role, request.scopes)))
      ),
    reject: (requestId) => Effect.flatMap(stored(devices.reject(id, requestId)), orNone(requestId)),
    revoke: (deviceId) =>
      Effect.flatMap(stored(devices.remove(id, deviceId)), (removed) =>
        removed ? Effect.void : noDevice(deviceId)
      ),
    code: ({ ttl, label }) => stored(codes.create({ organizationId: id, ttl, label }))
  }
  return access
})

// --- Which of them -----------------------------------------------------------

/** A hub as its devices see it: what manages them, and under which addresses it is opened. */
export interface Access {
  readonly devices: Devices
  /** The hub that runs, none where it does not. */
  readonly hub: Option.Option<{
    readonly url: string
    /** Where other machines reach it, as far as it is known. */
    readonly others: Option.Option<string>
  }>
}

const PAIRING = "operator.pairing"

/** A command about the devices of the hub that the flags name, else of this state directory's own. */
export const command = <const S extends Command.Shape, R>(
  name: string,
  description: string,
  shape: S,
  handler: (
    access: Access,
    output: typeof Output.Service,
    values: Command.Values<typeof Flags.remote> & Command.Values<S>
  ) => Effect.Effect<void, Failure, R>
) =>
  Command.extend(Flags.remote, name, description, shape, (values) =>
    withDevices(values, (access) => Effect.flatMap(Output, (output) => handler(access, output, values)))
  )

/** Runs `use` on the devices of the hub that the flags name, else of this state directory's own. */
export const withDevices = <A, R>(
  flags: Flags.Remote,
  use: (access: Access) => Effect.Effect<A, Failure, R>
): Effect.Effect<A, Failure, R | Output> =>
  Effect.gen(function* () {
    const output = yield* Output
    const here = (hub: Access["hub"]) =>
      Effect.flatMap(inDatabase, (devices) => use({ devices, hub })).pipe(withDatabase(flags))
    const place = yield* Remote.place(flags)
    if (Option.isNone(place.url)) return yield* here(Option.none())
    const to = yield* Remote.address(flags)
    const hub = {
      url: to.url,
      others: Option.match(place.own, {
        onNone: () => Option.some(to.url),
        onSome: ({ others }) => Option.fromNullable(others)
      })
    }
    const opened = yield* GatewayClient.open(to).pipe(
      Effect.filterOrFail(
        ({ scopes }) => scopes.includes(PAIRING),
        () =>
          new GatewayClient.GatewayRefused({
            method: "connect",
            code: "INVALID_REQUEST",
            words: `missing scope: ${PAIRING}`
          })
      ),
      Effect.either
    )
    if (Either.isRight(opened)) {
      return yield* use({ devices: overGateway(opened.right), hub: Option.some(hub) })
    }
    const error = opened.left
    // A token that was named is not passed over.
    const isNamed = Option.isSome(flags.token) || Option.isSome(flags.tokenFile)
    if (Option.isNone(place.own) || (error._tag === "GatewayRefused" && isNamed)) {
      return yield* failure(error)
    }
    if (error._tag === "GatewayUnreachable") return yield* here(Option.none())
    yield* output.progress(
      `the hub's gateway refused this (${error.words}), so it was done in the database; open connections of a revoked device stay until the hub restarts`
    )
    return yield* here(Option.some(hub))
  }).pipe(Effect.scoped)
