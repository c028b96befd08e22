/** One push to one browser: encrypted for it alone and signed by the hub (RFC 8030, 8291, 8292). */
import type { Agent as HttpAgent } from "node:http"
import { Agent, request } from "node:https"
import { isIP } from "node:net"
import type { PushSubscription, VapidKey } from "@causeway/store/PushSubscriptions"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { RequestDetails } from "web-push"
import * as Addresses from "./Addresses.ts"

/** Longest wait for a push service: 30 s. */
export const SEND_TIMEOUT = "30 seconds"

export interface PushMessage {
  readonly subscription: Pick<PushSubscription, "endpoint" | "p256dh" | "auth">
  readonly key: VapidKey
  /** A `mailto:` or `https:` address: whom a push service would write to. */
  readonly contact: string
  readonly payload: string
  /** How long the push service keeps it for a browser that is away. */
  readonly ttlSeconds: number
  readonly urgency: "normal" | "high"
  /** A newer message of the same topic takes the place of one that waits; at most 32 characters of base64url. */
  readonly topic: string
}

/** The browser has ended its subscription. */
export class PushGone extends Data.TaggedError("PushGone")<{ readonly status: number }> {}

/** The message or its address does not do; sending it again would not help. */
export class PushRefused extends Data.TaggedError("PushRefused")<{
  readonly status: number | undefined
  readonly detail: string
}> {}

/** Worth sending again. */
export class PushUnavailable extends Data.TaggedError("PushUnavailable")<{
  readonly detail: string
  /** The push service's `Retry-After`, in milliseconds. */
  readonly retryAfterMillis: number | undefined
}> {}

export type PushFailure = PushGone | PushRefused | PushUnavailable

export class PushSender extends Context.Tag("@causeway/hub/PushSender")<
  PushSender,
  {
    /** Why nothing can be sent there, in words; undefined where it can. */
    readonly refusal: (subscription: PushMessage["subscription"]) => string | undefined
    readonly send: (message: PushMessage) => Effect.Effect<void, PushFailure>
  }
>() {}

export interface Options {
  /** Post to addresses of this machine and its networks too: for a push service of one's own. Default false. */
  readonly privateAddresses?: boolean | undefined
  /** Certificates to trust instead of the well-known ones, PEM. */
  readonly ca?: string | undefined
  /**
   * The way to an endpoint through a proxy; undefined: directly. A proxy looks names up itself, so that what it may reach is
   * its own to decide.
   */
  readonly agentFor?: ((endpoint: URL) => HttpAgent | undefined) | undefined
}

/** A header of whole seconds, or of a date. */
const retryAfter = (header: string | undefined, nowMillis: number): number | undefined => {
  if (header === undefined) return undefined
  const millis = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMillis
  return Number.isFinite(millis) ? Math.max(0, millis) : undefined
}

export const make = (options: Options) =>
  Effect.gen(function* () {
    // Loading it takes longer than many a command of the command line does, which shares its bundle.
    const { default: webPush } = yield* Effect.promise(() => import("web-push"))
    const anywhere = options.privateAddresses === true
    const agent = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Agent({
            keepAlive: true,
            maxSockets: 16,
            ...(anywhere ? {} : { lookup: Addresses.lookupPublic }),
            ...(options.ca === undefined ? {} : { ca: options.ca })
          })
      ),
      (open) => Effect.sync(() => open.destroy())
    )

    const refusal: PushSender["Type"]["refusal"] = ({ auth, endpoint, p256dh }) => {
      const isLocal = anywhere && URL.canParse(endpoint) && new URL(endpoint).protocol === "https:"
      const address = isLocal ? undefined : Addresses.refusal(endpoint)
      if (address !== undefined) return address
      try {
        webPush.encrypt(p256dh, auth, "{}", "aes128gcm")
        return undefined
      } catch {
        // Not a point of the curve, or a secret of another length.
        return "the keys are not those of a push subscription"
      }
    }

    const details = (message: PushMessage) =>
      Effect.try({
        try: () =>
          webPush.generateRequestDetails(
            {
              endpoint: message.subscription.endpoint,
              keys: { p256dh: message.subscription.p256dh, auth: message.subscription.auth }
            },
            message.payload,
            {
              vapidDetails: {
                subject: message.contact,
                publicKey: message.key.publicKey,
                privateKey: Redacted.value(message.key.privateKey)
              },
              TTL: message.ttlSeconds,
              urgency: message.urgency,
              topic: message.topic,
              contentEncoding: "aes128gcm"
            }
          ),
        catch: () =>
          new PushRefused({ status: undefined, detail: "the message cannot be encrypted for this browser" })
      })

    /** The library encrypts and signs; the request is made here, so that an answer's body is never read. */
    const post = (url: URL, built: RequestDetails) =>
      Effect.async<
        { readonly status: number; readonly retryAfter: string | undefined },
        PushRefused | PushUnavailable
      >((resume) => {
        const way = options.agentFor?.(url) ?? agent
        const outgoing = request(url, { method: "POST", agent: way, headers: built.headers }, (response) => {
          const status = response.statusCode ?? 0
          resume(Effect.succeed({ status, retryAfter: response.headers["retry-after"] }))
          // A body of no length leaves the connection for the next push; any other is not read.
          if (response.headers["content-length"] === "0") response.resume()
          else response.destroy()
        })
        outgoing.on("error", (error: NodeJS.ErrnoException) =>
          resume(
            error.code === Addresses.NOT_PUBLIC
              ? new PushRefused({ status: undefined, detail: "not a public address" })
              : new PushUnavailable({ detail: error.code ?? error.name, retryAfterMillis: undefined })
          )
        )
        outgoing.end(built.body)
        return Effect.sync(() => outgoing.destroy())
      })

    const send: PushSender["Type"]["send"] = Effect.fn("PushSender.send")(function* (message) {
      const { endpoint } = message.subscription
      const url = new URL(endpoint)
      // Whether the name's addresses are public is seen when it is connected to; an address is not looked up.
      const host = url.hostname.replace(/^\[|\]$/g, "")
      if (!anywhere && isIP(host) !== 0 && !Addresses.isPublic(host)) {
        return yield* new PushRefused({ status: undefined, detail: "not a public address" })
      }
      const built = yield* details(message)
      const answer = yield* post(url, built).pipe(
        Effect.timeoutFail({
          duration: SEND_TIMEOUT,
          onTimeout: () => new PushUnavailable({ detail: "timeout", retryAfterMillis: undefined })
        })
      )
      const { status } = answer
      if (status >= 200 && status < 300) return
      if (status === 404 || status === 410) return yield* new PushGone({ status })
      if (status === 429 || status >= 500) {
        return yield* new PushUnavailable({
          detail: `status ${status}`,
          retryAfterMillis: retryAfter(answer.retryAfter, yield* Clock.currentTimeMillis)
        })
      }
      return yield* new PushRefused({ status, detail: `status ${status}` })
    })

    return PushSender.of({ refusal, send })
  })

export const layer = (options: Options = {}): Layer.Layer<PushSender> =>
  Layer.scoped(PushSender, make(options))
