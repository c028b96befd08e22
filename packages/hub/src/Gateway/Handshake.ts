/**
 * Who connects and what they may do: the checks of `connect`, in their order. Source: spec 2 §1 ("Checks, in order").
 */
import { BoundedMap } from "@causeway/protocol/BoundedMap"
import {
  CloseCode,
  type ConnectParams,
  ConnectParams as ConnectParamsSchema,
  type ErrorShape,
  PROTOCOL_VERSION,
  type Role
} from "@causeway/protocol/Gateway/Frames"
import * as Validation from "@causeway/protocol/Gateway/Validation"
import type { OrganizationId } from "@causeway/protocol/Ids"
import { type DeviceCodeRefused, DeviceCodes, type Redeemed } from "@causeway/store/DeviceCodes"
import { type DeviceRecord, Devices, type PairingReason } from "@causeway/store/Devices"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Organizations } from "@causeway/store/Organizations"
import * as Secret from "@causeway/store/Secret"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Auth } from "../Auth/Auth.ts"
import * as PublicUrl from "../PublicUrl.ts"
import { type GatewayConfig, GatewayConfiguration } from "./Config.ts"
import { GatewayConnections } from "./Connections.ts"
import * as Device from "./Device.ts"
import { holds, type Scope } from "./Scopes.ts"

/** Refused: the error is sent, then the socket closed with this code and reason. */
export class HandshakeRefused extends Data.TaggedError("HandshakeRefused")<{
  readonly error: ErrorShape
  readonly closeCode: number
  readonly closeReason: string
}> {}

const refuse = (
  message: string,
  details?: unknown,
  options: { readonly code?: ErrorShape["code"]; readonly close?: number; readonly reason?: string } = {}
): HandshakeRefused =>
  new HandshakeRefused({
    error: {
      code: options.code ?? "INVALID_REQUEST",
      message,
      ...(details === undefined ? {} : { details })
    },
    closeCode: options.close ?? CloseCode.policy,
    closeReason: options.reason ?? message
  })

/** Where a connection comes from. */
export interface Origin {
  /** Of the caller: a trusted proxy's word counts. */
  readonly remoteAddress: string | undefined
  /** From this machine, with no proxy in between. */
  readonly local: boolean
  readonly originHeader: string | undefined
  /** The host that the caller named, with or without a port. */
  readonly hostHeader: string | undefined
}

/** Who it turned out to be. */
export interface Admitted {
  readonly params: ConnectParams
  readonly organizationId: OrganizationId
  readonly tokenId: string | undefined
  readonly role: Role
  readonly scopes: ReadonlyArray<string>
  readonly device: DeviceRecord | undefined
  readonly deviceToken: Redacted.Redacted | undefined
}

export const loopback = (address: string | undefined): boolean =>
  address !== undefined && (address === "::1" || /^127\./.test(address) || /^::ffff:127\./.test(address))

const checkParams = Validation.check(ConnectParamsSchema)
const isParams = (value: unknown): value is ConnectParams => checkParams(value).length === 0

/** Fails with the text that clients know. */
export const decode = (params: unknown): Either.Either<ConnectParams, HandshakeRefused> =>
  isParams(params)
    ? Either.right(params)
    : Either.left(refuse(`invalid connect params: ${Validation.describe(checkParams(params))}`))

// --- Origin ---

const isPage = (params: ConnectParams): boolean => params.client.id === "openclaw-control-ui"
/** `webchat`, unless it is the page. */
export const isWebchat = (client: ConnectParams["client"]): boolean =>
  client.id !== "openclaw-control-ui" && (client.mode === "webchat" || client.id === "webchat-ui")

/** Why an origin is refused; undefined where it is allowed. */
export const originRefusal = (
  params: ConnectParams,
  origin: Origin,
  allowed: ReadonlyArray<string>,
  /** Of the address that this hub was told to have. */
  own: string | undefined
): string | undefined => {
  const header = origin.originHeader
  if (header === undefined && !isPage(params) && !isWebchat(params.client)) return undefined
  let url: URL | undefined
  try {
    url = header === undefined || header === "null" ? undefined : new URL(header)
  } catch {
    url = undefined
  }
  if (url === undefined || url.host === "") return "origin missing or invalid"
  const normal = url.origin.toLowerCase()
  if (normal === own) return undefined
  if (allowed.includes("*") || allowed.some((each) => each.toLowerCase() === normal)) return undefined
  const host = url.hostname.replace(/^\[|\]$/g, "")
  if (origin.local && (host === "localhost" || loopback(host))) return undefined
  // The page that this hub itself served.
  const asked = `${url.protocol}//${origin.hostHeader ?? ""}`
  return URL.canParse(asked) && url.host !== "" && new URL(asked).host === url.host
    ? undefined
    : "origin not allowed"
}

// --- Credentials ---

interface Verified {
  readonly organizationId: OrganizationId
  readonly tokenId: string | undefined
  readonly method: "token" | "password" | "none" | "device-token"
}

const HINT = "(set gateway.remote.token to match gateway.auth.token)"
const HINT_PASSWORD = "(set gateway.remote.password to match gateway.auth.password)"

const failures = {
  token_missing: ["AUTH_TOKEN_MISSING", `gateway token missing ${HINT}`, "update_auth_configuration"],
  token_mismatch: ["AUTH_TOKEN_MISMATCH", `gateway token mismatch ${HINT}`, "update_auth_credentials"],
  password_missing: [
    "AUTH_PASSWORD_MISSING",
    `gateway password missing ${HINT_PASSWORD}`,
    "update_auth_configuration"
  ],
  password_mismatch: [
    "AUTH_PASSWORD_MISMATCH",
    `gateway password mismatch ${HINT_PASSWORD}`,
    "update_auth_credentials"
  ],
  device_token_mismatch: [
    "AUTH_DEVICE_TOKEN_MISMATCH",
    "device token mismatch (rotate/reissue device token)",
    "update_auth_credentials"
  ],
  rate_limited: [
    "AUTH_RATE_LIMITED",
    "too many failed authentication attempts (retry later)",
    "wait_then_retry"
  ]
} as const
type FailureReason = keyof typeof failures

const unauthorized = (reason: FailureReason, canRetryWithDeviceToken: boolean): HandshakeRefused => {
  const [code, message, next] = failures[reason]
  return refuse(`unauthorized: ${message}`, {
    code,
    authReason: reason,
    canRetryWithDeviceToken,
    recommendedNextStep: canRetryWithDeviceToken ? "retry_with_device_token" : next
  })
}

/** Refusals of a one-time code say why, and where the next one comes from. */
const codeRefused = ({ reason, message }: DeviceCodeRefused): HandshakeRefused =>
  refuse(
    `unauthorized: ${message}; make a new one with \`causeway devices code\`, or under Devices on a page that is signed in`,
    {
      code: "AUTH_BOOTSTRAP_TOKEN_INVALID",
      authReason: "bootstrap_token_invalid",
      reason,
      canRetryWithDeviceToken: false,
      recommendedNextStep: "update_auth_credentials"
    },
    { reason: `unauthorized: ${message}` }
  )

/**
 * The one-time code of these credentials: one that the device's signature covers, so that nobody can put another in its
 * place. With a token beside it the signature is over that.
 */
const codeOf = (auth: ConnectParams["auth"]): string | undefined =>
  auth?.token === undefined && auth?.deviceToken === undefined && !blank(auth?.bootstrapToken)
    ? auth?.bootstrapToken
    : undefined

/** Failed attempts of one address within a minute before it has to wait 5 min. Loopback is exempt. */
const MAX_FAILURES = 10
const FAILURE_WINDOW_MILLIS = 60_000
const LOCKOUT_MILLIS = 300_000

class Attempts {
  // Addresses come from outside: what is remembered of them stays bounded.
  private readonly failures = new BoundedMap<string, Array<number>>(10_000)
  private readonly locked = new BoundedMap<string, number>(10_000)

  isLocked(address: string, nowMillis: number): boolean {
    const until = this.locked.get(address)
    if (until === undefined) return false
    if (nowMillis < until) return true
    this.locked.delete(address)
    return false
  }

  failed(address: string, nowMillis: number): void {
    const recent = (this.failures.get(address) ?? []).filter((at) => nowMillis - at < FAILURE_WINDOW_MILLIS)
    recent.push(nowMillis)
    if (recent.length >= MAX_FAILURES) {
      this.failures.delete(address)
      this.locked.set(address, nowMillis + LOCKOUT_MILLIS)
    } else this.failures.set(address, recent)
  }
}

const blank = (text: string | undefined): boolean => text === undefined || text.trim() === ""

// --- Pairing ---

const pairingTexts: { readonly [R in PairingReason]: readonly [message: string, hint: string] } = {
  "not-paired": ["device is not approved yet", "Approve this device from the pending pairing requests."],
  "role-upgrade": [
    "device is asking for a higher role than currently approved",
    "Review the requested role upgrade, then approve the pending request."
  ],
  "scope-upgrade": [
    "device is asking for more scopes than currently approved",
    "Review the requested scopes, then approve the pending upgrade."
  ],
  "metadata-upgrade": [
    "device identity changed and must be re-approved",
    "Review the refreshed device details, then approve the pending request."
  ]
}

const normal = (text: string | undefined): string => (text ?? "").trim().toLowerCase()

/** What a device still needs approved; undefined where nothing. */
export const pairingReason = (
  device: DeviceRecord | undefined,
  wanted: {
    readonly organizationId: OrganizationId
    readonly publicKey: string
    readonly role: string
    readonly scopes: ReadonlyArray<string>
    readonly platform: string
    readonly deviceFamily: string | undefined
  }
): PairingReason | undefined => {
  if (
    device === undefined ||
    device.publicKey !== wanted.publicKey ||
    device.organizationId !== wanted.organizationId
  ) {
    return "not-paired"
  }
  const approved = device.approved[wanted.role]
  if (approved === undefined) return "role-upgrade"
  if (!wanted.scopes.every((scope) => holds(approved, scope as Scope))) return "scope-upgrade"
  const samePlatform = normal(device.platform) === normal(wanted.platform)
  const sameFamily = normal(device.deviceFamily) === normal(wanted.deviceFamily)
  return samePlatform && sameFamily ? undefined : "metadata-upgrade"
}

// --- The handshake ---

export class Handshake extends Context.Tag("@causeway/hub/GatewayHandshake")<
  Handshake,
  {
    /** Judges the parameters of `connect`. */
    readonly admit: (
      params: unknown,
      origin: Origin,
      challenge: string
    ) => Effect.Effect<Admitted, HandshakeRefused | StoreUnavailable>
  }
>() {}

export const make = Effect.gen(function* () {
  const auth = yield* Auth
  const devices = yield* Devices
  const codes = yield* DeviceCodes
  const organizations = yield* Organizations
  const configuration = yield* GatewayConfiguration
  const connections = yield* GatewayConnections
  const attempts = new Attempts()
  const publicOrigin = PublicUrl.originOf(yield* PublicUrl.PublicUrl)

  const onlyOrganization = Effect.flatMap(organizations.list, (all) => {
    const first = all[0]
    return first === undefined
      ? refuse("this hub has no organisation yet", undefined, { code: "UNAVAILABLE" })
      : Effect.succeed(first.id)
  })

  /** The shared secret. Left says why it does not open. */
  const shared = (
    given: ConnectParams["auth"],
    config: GatewayConfig
  ): Effect.Effect<Either.Either<Verified, FailureReason>, HandshakeRefused | StoreUnavailable> =>
    Effect.gen(function* () {
      if (config.auth.mode === "none") {
        return Either.right({ organizationId: yield* onlyOrganization, tokenId: undefined, method: "none" })
      }
      if (config.auth.mode === "password") {
        const password = config.auth.password
        if (blank(given?.password)) return Either.left("password_missing")
        if (password === undefined || !Secret.isSame(given?.password ?? "", Redacted.value(password))) {
          return Either.left("password_mismatch")
        }
        return Either.right({
          organizationId: yield* onlyOrganization,
          tokenId: undefined,
          method: "password"
        })
      }
      if (blank(given?.token)) return Either.left("token_missing")
      return yield* auth.access(Redacted.make(given?.token ?? ""), undefined).pipe(
        Effect.map(({ organizationId, tokenId }) =>
          Either.right({ organizationId, tokenId, method: "token" } as const)
        ),
        Effect.catchTags({
          Unauthenticated: () => Effect.succeed(Either.left("token_mismatch" as const)),
          Forbidden: () => Effect.succeed(Either.left("token_mismatch" as const)),
          Unavailable: () =>
            refuse("the database cannot be used now", undefined, {
              code: "UNAVAILABLE",
              close: CloseCode.tryAgain
            })
        })
      )
    })

  const metadataOf = (params: ConnectParams, organizationId: OrganizationId, publicKey: string) => ({
    deviceId: params.device?.id ?? "",
    organizationId,
    publicKey,
    displayName: params.client.displayName,
    platform: params.client.platform,
    deviceFamily: params.client.deviceFamily ?? "",
    clientId: params.client.id,
    clientMode: params.client.mode
  })

  /** A code was the word that a device needs. What it asked for before is settled with it. */
  const approveByCode = (params: ConnectParams, redeemed: Redeemed, publicKey: string, role: Role) =>
    Effect.gen(function* () {
      const metadata = metadataOf(params, redeemed.organizationId, publicKey)
      const waiting = (yield* devices.requests(redeemed.organizationId)).filter(
        (each) => each.deviceId === metadata.deviceId && each.role === role
      )
      const device = yield* devices.approve(metadata, role, redeemed.scopes)
      yield* devices.seen(device.deviceId)
      const ts = yield* Clock.currentTimeMillis
      for (const { requestId, deviceId } of waiting) {
        connections.broadcast(
          "device.pair.resolved",
          { requestId, deviceId, decision: "approved", ts },
          { organizationId: redeemed.organizationId }
        )
      }
      return device
    })

  const pair = (
    device: DeviceRecord | undefined,
    params: ConnectParams,
    verified: Verified,
    publicKey: string,
    role: Role,
    scopes: ReadonlyArray<string>,
    origin: Origin
  ): Effect.Effect<DeviceRecord, HandshakeRefused | StoreUnavailable> =>
    Effect.gen(function* () {
      const metadata = metadataOf(params, verified.organizationId, publicKey)
      const reason = pairingReason(device, {
        organizationId: verified.organizationId,
        publicKey,
        role,
        scopes,
        platform: params.client.platform,
        deviceFamily: params.client.deviceFamily
      })
      if (reason === undefined && device !== undefined) {
        yield* devices.seen(device.deviceId)
        return device
      }
      // On this machine, with the hub's own secret, a new device and a new role of a known one need nobody's word, unless
      // something of it waits for a person already. More scopes and other metadata always do.
      const waiting = yield* devices.requests(verified.organizationId)
      const own = waiting.filter((each) => each.deviceId === metadata.deviceId)
      const quiet =
        (reason === "not-paired" && device === undefined) ||
        (reason === "role-upgrade" && device?.publicKey === publicKey)
      if (quiet && origin.local && verified.method !== "device-token" && own.length === 0) {
        return yield* devices.approve(metadata, role, scopes)
      }
      const request = yield* devices.request(metadata, {
        role,
        scopes,
        reason: reason ?? "not-paired",
        remoteAddress: origin.remoteAddress
      })
      // A device that asks again and again is told of once.
      const known = own.find((each) => each.role === role)
      const same =
        known !== undefined && known.reason === request.reason && known.scopes.join() === scopes.join()
      if (!same) {
        connections.broadcast(
          "device.pair.requested",
          {
            requestId: request.requestId,
            deviceId: request.deviceId,
            role,
            scopes,
            reason: request.reason,
            displayName: request.displayName,
            platform: request.platform,
            remoteIp: request.remoteAddress,
            ts: request.createdAt
          },
          { organizationId: verified.organizationId }
        )
      }
      const [text, remediationHint] = pairingTexts[request.reason]
      const message = `pairing required: ${text}`
      return yield* refuse(
        message,
        {
          code: "PAIRING_REQUIRED",
          reason: request.reason,
          requestId: request.requestId,
          remediationHint,
          deviceId: request.deviceId,
          requestedRole: role,
          requestedScopes: scopes,
          ...(device === undefined
            ? {}
            : {
                approvedRoles: Object.keys(device.approved),
                approvedScopes: [...new Set(Object.values(device.approved).flat())]
              })
        },
        { code: "NOT_PAIRED", reason: `${message} (requestId: ${request.requestId})` }
      )
    })

  const admit = (given: unknown, origin: Origin, challenge: string) =>
    Effect.gen(function* () {
      const params = yield* decode(given)
      const config = yield* configuration.current
      const now = yield* Clock.currentTimeMillis
      if (params.minProtocol > PROTOCOL_VERSION || params.maxProtocol < PROTOCOL_VERSION) {
        return yield* refuse(
          "protocol mismatch",
          { expectedProtocol: PROTOCOL_VERSION },
          { close: CloseCode.protocol }
        )
      }
      const role = params.role ?? "operator"
      if (role !== "operator" && role !== "node") return yield* refuse("invalid role")
      const foreign = originRefusal(params, origin, config.allowedOrigins, publicOrigin)
      if (foreign !== undefined) {
        return yield* refuse(
          "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)",
          { code: "CONTROL_UI_ORIGIN_NOT_ALLOWED", reason: foreign }
        )
      }
      const address = origin.remoteAddress
      const limited = address !== undefined && !loopback(address)
      if (limited && attempts.isLocked(address, now)) return yield* unauthorized("rate_limited", false)
      const fail = (reason: FailureReason, canRetry: boolean) => {
        if (limited) attempts.failed(address, now)
        return unauthorized(reason, canRetry)
      }

      const secret = yield* shared(params.auth, config)
      const scopes = params.scopes ?? []

      if (params.device === undefined) {
        const exempt = isPage(params) && config.allowInsecurePage
        if (isPage(params) && !exempt) {
          return yield* refuse(
            "control ui requires device identity (use HTTPS or localhost secure context)",
            { code: "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" }
          )
        }
        if (Either.isLeft(secret)) {
          const gaveSecret = !blank(params.auth?.token) || !blank(params.auth?.password)
          if (gaveSecret) return yield* fail(secret.left, false)
        }
        if (Either.isLeft(secret) || role !== "operator") {
          return yield* refuse(
            "device identity required",
            { code: "DEVICE_IDENTITY_REQUIRED" },
            { code: "NOT_PAIRED" }
          )
        }
        const keeps =
          exempt ||
          (params.client.id === "gateway-client" && params.client.mode === "backend" && origin.local)
        return {
          params,
          organizationId: secret.right.organizationId,
          tokenId: secret.right.tokenId,
          role,
          scopes: keeps ? scopes : [],
          device: undefined,
          deviceToken: undefined
        } satisfies Admitted
      }

      const token = params.auth?.token ?? params.auth?.deviceToken ?? params.auth?.bootstrapToken ?? ""
      const proof = Device.check(
        params.device,
        {
          clientId: params.client.id,
          clientMode: params.client.mode,
          role,
          scopes,
          token,
          platform: params.client.platform,
          deviceFamily: params.client.deviceFamily ?? ""
        },
        challenge,
        now
      )
      if (Either.isLeft(proof)) {
        const { code, reason, message } = proof.left
        return yield* refuse(message, { code, reason })
      }
      const code = codeOf(params.auth)
      if (code !== undefined) {
        if (role !== "operator") return yield* refuse("invalid role")
        const redeemed = yield* codes.redeem(Redacted.make(code), params.device.id).pipe(
          Effect.catchTag("DeviceCodeRefused", (refused) => {
            if (limited) attempts.failed(address, now)
            return codeRefused(refused)
          })
        )
        const device = yield* approveByCode(params, redeemed, proof.right, role)
        const approved = device.approved[role] ?? []
        return {
          params,
          organizationId: redeemed.organizationId,
          tokenId: undefined,
          role,
          // Whoever follows a link cannot know what its code allows, and gets what it does.
          scopes: scopes.filter((scope) => holds(approved, scope as Scope)),
          device,
          deviceToken: devices.token(device, role)
        } satisfies Admitted
      }
      const known = yield* devices.get(params.device.id)
      let verified: Verified
      if (Either.isRight(secret)) verified = secret.right
      else {
        const ownToken = params.auth?.deviceToken ?? params.auth?.token
        const good =
          known !== undefined &&
          !blank(ownToken) &&
          devices.verifyToken(known, role, Redacted.make(ownToken ?? ""))
        if (!good) {
          if (!blank(params.auth?.deviceToken)) return yield* fail("device_token_mismatch", false)
          return yield* fail(secret.left, secret.left === "token_mismatch" && known !== undefined)
        }
        verified = { organizationId: known.organizationId, tokenId: undefined, method: "device-token" }
      }
      const device = yield* pair(known, params, verified, proof.right, role, scopes, origin)
      return {
        params,
        organizationId: verified.organizationId,
        tokenId: verified.tokenId,
        role,
        scopes,
        device,
        deviceToken: devices.token(device, role)
      } satisfies Admitted
    })

  return Handshake.of({ admit })
})

export const layer: Layer.Layer<
  Handshake,
  never,
  Auth | DeviceCodes | Devices | Organizations | GatewayConfiguration | GatewayConnections
> = Layer.effect(Handshake, make)
