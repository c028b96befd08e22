/**
 * Who is connected, and with what: every stream, long poll and socket stands here for as long as it is open.
 *
 * One fiber looks whether what opened them still stands, every 2 s, when the next of them expires, and at once when this
 * process ended one; what does not is told why and closes. Revocation by another process or on the command line is found by
 * the same look. Here too is counted how many connections a device, a credential and an address have.
 */
import * as WireError from "@causeway/protocol/WireError"
import * as Standing from "@causeway/store/Standing"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Config, type ConnectionLimits } from "./Config.ts"

/** How long a credential that another process ended may go on: 2 s, and the time of a look. */
export const LOOK = Duration.seconds(2)

/** When a caller that has too many connections may ask again. */
const RETRY_AFTER = Duration.seconds(5)

/** A connection, and what it was opened with. */
export interface Holder {
  /** All of them have to stand. Empty where nothing that can end was shown. */
  readonly credentials: ReadonlyArray<Standing.Credential>
  /** Of whoever holds it; undefined where addresses are not counted: for workers, and for this machine itself. */
  readonly address: string | undefined
}

/** Why a connection has to close. */
export interface Ended {
  readonly credential: Standing.Credential["_tag"]
  readonly why: Standing.Ended
  /** For people. */
  readonly words: string
}

export class Connected extends Context.Tag("@causeway/hub/Connected")<
  Connected,
  {
    /**
     * Lists a connection until the scope closes; the inner effect completes when what opened it has ended.
     * `TooManyRequests`: the device, the credential or the address has as many as it may have.
     */
    readonly hold: (
      holder: Holder
    ) => Effect.Effect<Effect.Effect<Ended>, WireError.TooManyRequests, Scope.Scope>
    /** Why an address may open no further connection; undefined where it may. */
    readonly full: (address: string | undefined) => WireError.TooManyRequests | undefined
    /** A credential was ended here: looks at once. Completes when the look was asked for. */
    readonly look: Effect.Effect<void>
    /** How many are open. */
    readonly size: Effect.Effect<number>
  }
>() {}

// --- The registry ---

interface Entry {
  readonly holder: Holder
  readonly ended: Deferred.Deferred<Ended>
}

interface State {
  readonly limits: ConnectionLimits
  readonly entries: Set<Entry>
  /** Open connections of each device, credential and address; those of none are left out. */
  readonly counts: Map<string, number>
}

interface Place {
  readonly key: string
  readonly limit: number
  readonly who: string
}

const keyOf = (credential: Standing.Credential): string => {
  switch (credential._tag) {
    case "Device":
      return `device ${credential.id}`
    case "Token":
      return `token ${credential.id}`
    case "Environment":
      return `environment ${credential.id} ${credential.secretHash}`
    case "Ingress":
      return `ingress ${credential.session} ${credential.epoch} ${credential.expiresAt}`
  }
}

const addressPlace = ({ limits }: State, address: string): Place => ({
  key: `address ${address}`,
  limit: limits.address,
  who: "this address"
})

/** Where a connection is counted. */
const placesOf = (state: State, { address, credentials }: Holder): ReadonlyArray<Place> => [
  ...credentials.map((credential) =>
    credential._tag === "Device"
      ? { key: keyOf(credential), limit: state.limits.device, who: "this device" }
      : { key: keyOf(credential), limit: state.limits.credential, who: "this credential" }
  ),
  ...(address === undefined ? [] : [addressPlace(state, address)])
]

const refusal = ({ limit, who }: Place): WireError.TooManyRequests =>
  WireError.TooManyRequests.of(
    `${who} has ${limit} connections open, which is as many as it may have; close some, or try again in ${Duration.toSeconds(RETRY_AFTER)} s`,
    { reason: "too_many_connections", limit, retry_after_ms: Duration.toMillis(RETRY_AFTER) }
  )

const isFull = ({ counts }: State, { key, limit }: Place): boolean => (counts.get(key) ?? 0) >= limit

const count = ({ counts }: State, { key }: Place, by: 1 | -1): void => {
  const left = (counts.get(key) ?? 0) + by
  if (left > 0) counts.set(key, left)
  else counts.delete(key)
}

const hold = (state: State, holder: Holder) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const places = placesOf(state, holder)
      const full = places.find((place) => isFull(state, place))
      if (full !== undefined) return refusal(full)
      const entry: Entry = { holder, ended: Deferred.unsafeMake(FiberId.none) }
      state.entries.add(entry)
      for (const place of places) count(state, place, 1)
      return Effect.succeed({ entry, places })
    }),
    ({ entry, places }) =>
      Effect.sync(() => {
        state.entries.delete(entry)
        for (const place of places) count(state, place, -1)
      })
  ).pipe(Effect.map(({ entry }) => Deferred.await(entry.ended)))

// --- The look ---

const nouns: { readonly [T in Standing.Credential["_tag"]]: string } = {
  Token: "the access token",
  Device: "the device",
  Environment: "the environment's secret",
  Ingress: "the session's ingress token"
}

const verbs: { readonly [W in Standing.Ended]: string } = {
  revoked: "was revoked",
  expired: "has expired",
  removed: "was removed",
  rotated: "was replaced by a newer one",
  superseded: "is superseded: a newer worker has taken the session over"
}

const endedOf = (credential: Standing.Credential, why: Standing.Ended): Ended => ({
  credential: credential._tag,
  why,
  words: `${nouns[credential._tag]} that opened this connection ${verbs[why]}`
})

/** Ends what stands no longer; answers when the next credential expires. */
const look = (state: State, standing: Standing.Standing["Type"]) =>
  Effect.gen(function* () {
    const credentials = new Map<string, Standing.Credential>()
    for (const { holder } of state.entries) {
      for (const each of holder.credentials) credentials.set(keyOf(each), each)
    }
    if (credentials.size === 0) return undefined
    const verdicts = yield* standing.look([...credentials.values()])
    const byKey = new Map([...credentials.keys()].map((key, i) => [key, verdicts[i]] as const))
    for (const { ended, holder } of state.entries) {
      for (const credential of holder.credentials) {
        const verdict = byKey.get(keyOf(credential))
        if (verdict?._tag !== "Ended") continue
        Deferred.unsafeDone(ended, Effect.succeed(endedOf(credential, verdict.why)))
        break
      }
    }
    const expiries = verdicts.flatMap((each) =>
      each._tag === "Stands" && each.expiresAt !== undefined ? [each.expiresAt] : []
    )
    return expiries.length === 0 ? undefined : expiries.reduce((a, b) => Math.min(a, b))
  })

const make = Effect.gen(function* () {
  const { connections } = yield* Config
  const standing = yield* Standing.Standing
  const state: State = { limits: connections, entries: new Set(), counts: new Map() }
  const asked = yield* Effect.makeLatch(false)

  const round = Effect.gen(function* () {
    yield* asked.close
    const next = yield* Effect.catchAllCause(look(state, standing), (cause) =>
      Effect.as(
        Effect.logWarning("whether credentials still stand cannot be read; they are looked at again", cause),
        undefined
      )
    )
    const wait = (next ?? Number.MAX_SAFE_INTEGER) - (yield* Clock.currentTimeMillis)
    const pause = Math.max(0, Math.min(wait, Duration.toMillis(LOOK)))
    yield* Effect.raceFirst(asked.await, Effect.sleep(pause))
  })
  yield* Effect.forkScoped(Effect.forever(round))

  return Connected.of({
    hold: (holder) => hold(state, holder),
    full: (address) => {
      const place = address === undefined ? undefined : addressPlace(state, address)
      return place !== undefined && isFull(state, place) ? refusal(place) : undefined
    },
    look: asked.open,
    size: Effect.sync(() => state.entries.size)
  })
})

export const layer: Layer.Layer<Connected, never, Config | Standing.Standing> = Layer.scoped(Connected, make)
