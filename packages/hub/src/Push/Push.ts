/**
 * Pushes to the browsers of an organisation. Nobody waits for them: each is sent in a fiber of its own, which a newer one
 * of the same tag to the same browser takes the place of, and beyond {@link UNDER_WAY_MAX} nothing more is begun.
 */
import { createHash } from "node:crypto"
import type { OrganizationId } from "@causeway/protocol/Ids"
import type { StoreUnavailable } from "@causeway/store/Errors"
import { type PushSubscription, PushSubscriptions } from "@causeway/store/PushSubscriptions"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Metrics from "../Metrics.ts"
import { PublicUrl } from "../PublicUrl.ts"
import { type PushFailure, PushSender } from "./Sender.ts"

/** Pushes under way at once, waiting for another attempt included. */
export const UNDER_WAY_MAX = 256

/** The longest that a push service may have us wait between two attempts: 10 min. */
const RETRY_AFTER_MAX = Duration.minutes(10)

/** 5 attempts, 2 s apart and then doubling, each up to 20 % longer; or as long as the push service asks for. */
export const retrySchedule = Schedule.identity<PushFailure>().pipe(
  Schedule.intersect(
    Schedule.exponential("2 seconds").pipe(
      Schedule.jitteredWith({ min: 1, max: 1.2 }),
      Schedule.intersect(Schedule.recurs(4))
    )
  ),
  Schedule.modifyDelay(([failure], delay) =>
    Duration.max(
      delay,
      Duration.min(
        Duration.millis(failure._tag === "PushUnavailable" ? (failure.retryAfterMillis ?? 0) : 0),
        RETRY_AFTER_MAX
      )
    )
  )
)

/** What a browser shows. It travels as JSON `{title, body, tag, url}`. */
export interface Notification {
  readonly title: string
  readonly body: string
  /** A newer one of the same tag takes this one's place. */
  readonly tag: string
  /** In the page, `#/…`. */
  readonly url: string
  readonly ttlSeconds: number
  readonly urgency: "normal" | "high"
}

/** The subscription cannot be taken. `DeviceUnknown`: its device was removed meanwhile. */
export class SubscriptionRefused extends Data.TaggedError("SubscriptionRefused")<{
  readonly reason: "Invalid" | "DeviceUnknown"
  readonly message: string
}> {}

export class Push extends Context.Tag("@causeway/hub/Push")<
  Push,
  {
    /** The key that browsers subscribe with (VAPID `applicationServerKey`), base64url. */
    readonly publicKey: string
    readonly subscribe: (
      subscription: PushSubscription
    ) => Effect.Effect<void, SubscriptionRefused | StoreUnavailable>
    readonly unsubscribe: (deviceId: string, endpoint: string) => Effect.Effect<void, StoreUnavailable>
    /** Since when anyone of this organisation may want pushes, in milliseconds since the epoch. Costs nothing. */
    readonly wantedSince: (organizationId: OrganizationId) => number | undefined
    /** Whether any organisation wants pushes. */
    readonly isWanted: () => boolean
    /** Begins to send to every browser of the organisation, and does not wait. */
    readonly notify: (
      organizationId: OrganizationId,
      notification: Notification
    ) => Effect.Effect<void, StoreUnavailable>
  }
>() {}

const topicOf = (tag: string): string => createHash("sha256").update(tag).digest("base64url").slice(0, 32)

export interface Options {
  /**
   * Whom a push service would write to about this hub: a `mailto:` or `https:` address. Default: the public address where
   * it is https, else one that nobody reads (push services only ask that there be one).
   */
  readonly contact?: string | undefined
}

export const make = (options: Options) =>
  Effect.gen(function* () {
    const subscriptions = yield* PushSubscriptions
    const sender = yield* PushSender
    const publicUrl = yield* PublicUrl
    const contact =
      options.contact ?? (publicUrl?.startsWith("https://") === true ? publicUrl : "https://causeway.example")
    const underWay = yield* FiberMap.make<string, void>()
    // Whoever subscribes is added here; an organisation without any left is found out when it is next pushed to.
    const wanted = new Map<OrganizationId, { readonly since: number }>()
    const startedAt = yield* Clock.currentTimeMillis
    for (const id of yield* subscriptions.organizations) wanted.set(id, { since: startedAt })

    const deliver = (subscription: PushSubscription, notification: Notification) => {
      const { body, tag, title, url } = notification
      return sender
        .send({
          subscription,
          key: subscriptions.vapidKey,
          contact,
          payload: JSON.stringify({ title, body, tag, url }),
          ttlSeconds: notification.ttlSeconds,
          urgency: notification.urgency,
          topic: topicOf(tag)
        })
        .pipe(
          Effect.retry({ schedule: retrySchedule, while: (failure) => failure._tag === "PushUnavailable" }),
          Effect.zipRight(Metrics.pushed("sent")),
          Effect.catchTags({
            PushGone: () =>
              Effect.zipRight(Metrics.pushed("gone"), subscriptions.forget(subscription.endpoint)),
            PushRefused: ({ detail }) =>
              Effect.zipRight(
                Metrics.pushed("refused"),
                Effect.logWarning("a push service does not take a push").pipe(Effect.annotateLogs({ detail }))
              ),
            PushUnavailable: ({ detail }) =>
              Effect.zipRight(
                Metrics.pushed("failed"),
                Effect.logWarning("a push was given up").pipe(Effect.annotateLogs({ detail }))
              )
          }),
          Effect.catchAllCause((cause) => Effect.logError("a push failed", cause)),
          // The endpoint is a secret of its browser; its host tells enough.
          Effect.annotateLogs({
            module: "Push",
            device: subscription.deviceId,
            service: URL.canParse(subscription.endpoint) ? new URL(subscription.endpoint).host : ""
          })
        )
    }

    return Push.of({
      publicKey: subscriptions.vapidKey.publicKey,
      subscribe: (subscription) =>
        Effect.gen(function* () {
          const message = sender.refusal(subscription)
          if (message !== undefined) return yield* new SubscriptionRefused({ reason: "Invalid", message })
          if (!(yield* subscriptions.add(subscription))) {
            return yield* new SubscriptionRefused({
              reason: "DeviceUnknown",
              message: "only a device that is paired takes pushes"
            })
          }
          const now = yield* Clock.currentTimeMillis
          const since = wanted.get(subscription.organizationId)?.since ?? now
          wanted.set(subscription.organizationId, { since })
        }),
      unsubscribe: subscriptions.remove,
      wantedSince: (organizationId) => wanted.get(organizationId)?.since,
      isWanted: () => wanted.size > 0,
      notify: (organizationId, notification) =>
        Effect.gen(function* () {
          const before = wanted.get(organizationId)
          if (before === undefined) return
          const all = yield* subscriptions.list(organizationId)
          // Unless somebody has subscribed while this was read.
          if (all.length === 0 && wanted.get(organizationId) === before) wanted.delete(organizationId)
          for (const subscription of all) {
            const name = `${notification.tag}\n${subscription.endpoint}`
            const known = yield* FiberMap.has(underWay, name)
            if (!known && (yield* FiberMap.size(underWay)) >= UNDER_WAY_MAX) yield* Metrics.pushed("dropped")
            else yield* FiberMap.run(underWay, name, deliver(subscription, notification))
          }
        })
    })
  })

export const layer = (
  options: Options = {}
): Layer.Layer<Push, StoreUnavailable, PushSender | PushSubscriptions> => Layer.scoped(Push, make(options))
