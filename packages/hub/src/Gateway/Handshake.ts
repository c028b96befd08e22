/**
 * Who connects and what they may do: the checks of `connect`, in their order. Source: spec 2 §1 ("Checks, in order").
 */
import type { Author as Person } from "@causeway/protocol/Event"
import {
  CloseCode,
  ConnectParams,
  type DeviceProof,
  PROTOCOL_VERSION
} from "@causeway/protocol/Gateway/Frames"
import * as Validation from "@causeway/protocol/Gateway/Validation"
import { roleOfScopes, type Scope } from "@causeway/protocol/Permission"
import type { Audit } from "@causeway/store/Audit"
import * as Author from "@causeway/store/Author"
import { DeviceCodes } from "@causeway/store/DeviceCodes"
import { Devices } from "@causeway/store/Devices"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { Organizations } from "@causeway/store/Organizations"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Attempts } from "../Attempts.ts"
import * as Auditor from "../Auth/Auditor.ts"
import { Auth } from "../Auth/Auth.ts"
import * as PublicUrl from "../PublicUrl.ts"
import { GatewayConfiguration } from "./Config.ts"
import { GatewayConnections } from "./Connections.ts"
import { codeOf, isBlank, shared, withinRole } from "./Handshake/Credentials.ts"
import * as Proof from "./Handshake/DeviceProof.ts"
import { isPage, type Origin, originRefusal } from "./Handshake/Origin.ts"
import { approveByCode, pair } from "./Handshake/Pairing.ts"
import {
  codeRefused,
  type FailureReason,
  type HandshakeRefused,
  refuse,
  unauthorized
} from "./Handshake/Refusal.ts"
import type { Admitted, Connect, State, Verified } from "./Handshake/State.ts"
import { holds } from "./Scopes.ts"

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

const checkParams = Validation.check(ConnectParams)
const isParams = (value: unknown): value is ConnectParams => checkParams(value).length === 0

/** The checks that need no secret: form, protocol, role and origin. */
const read = (state: State, given: unknown, origin: Origin, challenge: string) =>
  Effect.gen(function* () {
    if (!isParams(given)) {
      return yield* refuse(`invalid connect params: ${Validation.describe(checkParams(given))}`)
    }
    const config = yield* state.configuration.current
    const now = yield* Clock.currentTimeMillis
    if (given.minProtocol > PROTOCOL_VERSION || given.maxProtocol < PROTOCOL_VERSION) {
      return yield* refuse(
        "protocol mismatch",
        { expectedProtocol: PROTOCOL_VERSION },
        { close: CloseCode.protocol }
      )
    }
    const role = given.role ?? "operator"
    if (role !== "operator" && role !== "node") return yield* refuse("invalid role")
    const foreign = originRefusal(given, origin, config.allowedOrigins, state.publicOrigin)
    if (foreign !== undefined) {
      return yield* refuse(
        "origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)",
        { code: "CONTROL_UI_ORIGIN_NOT_ALLOWED", reason: foreign }
      )
    }
    const connect: Connect = {
      params: given,
      role,
      scopes: given.scopes ?? [],
      origin,
      challenge,
      config,
      now
    }
    return connect
  })

/** Refuses when that may be answered. All passwords count as tries of one credential. */
const fail = (
  { attempts }: State,
  { origin, params: { auth } }: Connect,
  refusal: HandshakeRefused
): Effect.Effect<never, HandshakeRefused> => {
  const password = isBlank(auth?.password) ? undefined : "password"
  const credential = auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? password
  if (isBlank(credential)) return refusal
  return attempts.failed({ address: origin.remoteAddress, credential: credential ?? "" }).pipe(
    Effect.mapError(() => unauthorized("rate_limited", false)),
    Effect.zipRight(refusal)
  )
}

const admitWithoutDevice = (state: State, connect: Connect, secret: Either.Either<Verified, FailureReason>) =>
  Effect.gen(function* () {
    const { config, origin, params, role } = connect
    const { client } = params
    if (isPage(params) && !config.allowInsecurePage) {
      return yield* refuse("control ui requires device identity (use HTTPS or localhost secure context)", {
        code: "CONTROL_UI_DEVICE_IDENTITY_REQUIRED"
      })
    }
    if (Either.isLeft(secret) && !(isBlank(params.auth?.token) && isBlank(params.auth?.password))) {
      return yield* fail(state, connect, unauthorized(secret.left, false))
    }
    if (Either.isLeft(secret) || role !== "operator") {
      return yield* refuse(
        "device identity required",
        { code: "DEVICE_IDENTITY_REQUIRED" },
        { code: "NOT_PAIRED" }
      )
    }
    const keepsScopes =
      isPage(params) || (client.id === "gateway-client" && client.mode === "backend" && origin.local)
    const { organizationId, tokenId } = secret.right
    const scopes = yield* withinRole(connect, secret.right)
    const admitted: Admitted = {
      params,
      organizationId,
      tokenId,
      role,
      scopes: keepsScopes ? scopes : [],
      device: undefined,
      deviceToken: undefined
    }
    return admitted
  })

/** Checks that the device holds its key. Answers with its public key. */
const prove = ({ challenge, now, params, role, scopes }: Connect, device: DeviceProof) => {
  const { auth, client } = params
  const signed: Proof.Signed = {
    clientId: client.id,
    clientMode: client.mode,
    role,
    scopes,
    token: auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? "",
    platform: client.platform,
    deviceFamily: client.deviceFamily ?? ""
  }
  return Either.mapLeft(Proof.check(device, signed, challenge, now), ({ code, message, reason }) =>
    refuse(message, { code, reason })
  )
}

const admitByCode = (state: State, connect: Connect, code: string, deviceId: string, publicKey: string) =>
  Effect.gen(function* () {
    const { params, role, scopes } = connect
    if (role !== "operator") return yield* refuse("invalid role")
    const redeemed = yield* Effect.catchTag(
      state.codes.redeem(Redacted.make(code), deviceId),
      "DeviceCodeRefused",
      (refused) => fail(state, connect, codeRefused(refused))
    )
    const device = yield* approveByCode(state, connect, redeemed, publicKey)
    const approved = device.approved[role] ?? []
    const admitted: Admitted = {
      params,
      organizationId: redeemed.organizationId,
      tokenId: undefined,
      role,
      // Whoever follows a link cannot know what its code allows, and gets what it does.
      scopes: scopes.filter((scope) => holds(approved, scope as Scope)),
      device,
      deviceToken: state.devices.token(device, role)
    }
    return admitted
  })

const admitDevice = (
  state: State,
  connect: Connect,
  secret: Either.Either<Verified, FailureReason>,
  deviceId: string,
  publicKey: string
) =>
  Effect.gen(function* () {
    const { params, role } = connect
    const known = yield* state.devices.get(deviceId)
    const ownToken = params.auth?.deviceToken ?? params.auth?.token
    let verified: Verified
    if (Either.isRight(secret)) verified = secret.right
    else if (
      known !== undefined &&
      !isBlank(ownToken) &&
      state.devices.verifyToken(known, role, Redacted.make(ownToken ?? ""))
    ) {
      verified = {
        organizationId: known.organizationId,
        tokenId: undefined,
        access: "owner",
        method: "device-token"
      }
    } else {
      const refusal = isBlank(params.auth?.deviceToken)
        ? unauthorized(secret.left, secret.left === "token_mismatch" && known !== undefined)
        : unauthorized("device_token_mismatch", false)
      return yield* fail(state, connect, refusal)
    }
    const scopes = yield* withinRole(connect, verified)
    const device = yield* pair(state, { ...connect, scopes }, verified, publicKey, known)
    const { organizationId, tokenId } = verified
    const deviceToken = state.devices.token(device, role)
    const admitted: Admitted = { params, organizationId, tokenId, role, scopes, device, deviceToken }
    return admitted
  })

/** Who it is that was let in, as the log and the audit log name them: the device, else the token. */
export const authorOf = ({ device, params, scopes, tokenId }: Admitted): Person => ({
  kind: device !== undefined ? "device" : tokenId !== undefined ? "token" : "client",
  id: device?.deviceId ?? tokenId ?? params.client.id,
  name: device?.displayName ?? params.client.displayName ?? params.client.id,
  role: roleOfScopes(scopes) ?? "none"
})

const judge = (state: State, given: unknown, origin: Origin, challenge: string) =>
  Effect.gen(function* () {
    const connect = yield* read(state, given, origin, challenge)
    const secret = yield* shared(state, connect)
    const { auth, device } = connect.params
    if (device === undefined) return yield* admitWithoutDevice(state, connect, secret)
    const publicKey = yield* prove(connect, device)
    const code = codeOf(auth)
    return code === undefined
      ? yield* admitDevice(state, connect, secret, device.id, publicKey)
      : yield* admitByCode(state, connect, code, device.id, publicKey)
  })

const admit = (state: State): Handshake["Type"]["admit"] =>
  Effect.fn("Handshake.admit")(function* (given, origin, challenge) {
    const { auditor } = state
    const address = origin.remoteAddress
    const admitted = yield* Effect.tapErrorTag(
      judge(state, given, origin, challenge),
      "HandshakeRefused",
      ({ error }) =>
        auditor.refused({
          kind: `${address} ${error.code} ${error.message.slice(0, 24)}`,
          organizationId: undefined,
          address,
          words: error.message
        })
    )
    const { device, organizationId, scopes, tokenId } = admitted
    yield* auditor
      .once(`signed_in ${authorOf(admitted).id} ${address}`, {
        organizationId,
        action: "signed_in",
        subject: device?.deviceId ?? tokenId,
        address,
        details: { scopes, token: tokenId ?? null }
      })
      .pipe(Effect.locally(Author.current, authorOf(admitted)))
    return admitted
  })

export const layer: Layer.Layer<
  Handshake,
  never,
  Attempts | Audit | Auth | DeviceCodes | Devices | Organizations | GatewayConfiguration | GatewayConnections
> = Layer.effect(
  Handshake,
  Effect.gen(function* () {
    const state: State = {
      auth: yield* Auth,
      devices: yield* Devices,
      codes: yield* DeviceCodes,
      organizations: yield* Organizations,
      configuration: yield* GatewayConfiguration,
      connections: yield* GatewayConnections,
      attempts: yield* Attempts,
      auditor: yield* Auditor.make,
      publicOrigin: PublicUrl.originOf(yield* PublicUrl.PublicUrl)
    }
    return Handshake.of({ admit: admit(state) })
  })
)
