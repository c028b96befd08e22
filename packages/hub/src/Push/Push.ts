/**
 * Pushes to the browsers of an organisation. Nobody waits for them: each is sent in a fiber of its own, which a newer one
 * of the same tag to the same browser takes the place of, and beyond {@link UNDER_WAY_MAX} nothing more is begun.
 */

import { createHash } from "node:crypto"
import { BoundedMap } from "@causeway/protocol/BoundedMap"
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
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Metrics from "../Metrics.ts"
import { PublicUrl } from "../PublicUrl.ts"
import * as Contact from "./Contact.ts"
import { type PushFailure, PushRefused, PushSender } from "./Sender.ts"

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

/** As a browser shows it. It travels as JSON `{title, body, tag, url}`. */
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

/** How the last push to a browser ended. */
export interface Outcome {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Why it failed, for a person; undefined where the push service took it. */
  readonly failure: string | undefined
}

/** How pushes to a browser stand. */
export interface PushStatus {
  /** False: the hub does not know the subscription, or its push service has ended it. */
  readonly subscribed: boolean
  /** None where nothing was pushed since the hub started. */
  readonly last: Option.Option<Outcome>
}

/** One browser of a device. */
export interface Subscriber {
  readonly organizationId: OrganizationId
  readonly deviceId: string
  readonly endpoint: string
}

/** Browsers whose last outcome is kept; the oldest give way. */
const OUTCOMES_MAX = 10_000

/** The push of somebody who tries it. */
const TEST: Notification = {
  title: "Causeway",
  body: "Notifications reach this device.",
  tag: "test",
  url: "#/",
  ttlSeconds: 60,
  urgency: "high"
}

/** A failure for a person. */
const words = (failure: PushFailure): string => {
  switch (failure._tag) {
    case "PushGone":
      return "the push service has ended this browser's subscription; turn notifications off and on again"
    case "PushUnavailable":
      return `the push service did not take it (${failure.detail}); later ones are tried all the same`
    case "PushRefused":
      return failure.status === 400 || failure.status === 401 || failure.status === 403
        ? `the push service refuses this hub (status ${failure.status}); it may want a real address of yours: --push-contact`
        : failure.detail
  }
}

const topicOf = (tag: string): string => createHash("sha256").update(tag).digest("base64url").slice(0, 32)

export interface Options {
  /**
   * Whom a push service would write to about this hub, see `Contact`. Default: the public address where it is a real one.
   */
  readonly contact?: string | undefined
}

export const make = (options: Options) =>
  Effect.gen(function* () {
    const subscriptions = yield* PushSubscriptions
    const sender = yield* PushSender
    const publicUrl = yield* PublicUrl
    const contact = Contact.of(options.contact, publicUrl)
    const underWay = yield* FiberMap.make<string, void>()
    // Whoever subscribes is added here; an organisation without any left is found out when it is next pushed to.
    const wanted = new Map<OrganizationId, { readonly since: number }>()
    const startedAt = yield* Clock.currentTimeMillis
    for (const id of yield* subscriptions.organizations) wanted.set(id, { since: startedAt })

    /** By endpoint; what a subscription's browser can ask for. */
    const outcomes = new BoundedMap<string, Outcome>(OUTCOMES_MAX)
    const record = (endpoint: string, failure: string | undefined) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        outcomes.set(endpoint, { at, failure })
      })

    const attempt = (
      subscription: PushSubscription,
      { body, tag, title, ttlSeconds, urgency, url }: Notification
    ) =>
      Effect.suspend(
        (): Effect.Effect<void, PushFailure> =>
          Option.isNone(contact) && Contact.isNeededBy(subscription.endpoint)
            ? new PushRefused({ status: undefined, detail: Contact.MISSING })
            : sender.send({
                subscription,
                key: subscriptions.vapidKey,
                contact: Option.getOrElse(contact, () => Contact.NOBODY),
                payload: JSON.stringify({ title, body, tag, url }),
                ttlSeconds,
                urgency,
                topic: topicOf(tag)
              })
      ).pipe(
        Effect.tapBoth({
          onSuccess: () => record(subscription.endpoint, undefined),
          onFailure: (failure) =>
            failure._tag === "PushGone"
              ? Effect.zipRight(
                  record(subscription.endpoint, words(failure)),
                  Effect.ignore(subscriptions.forget(subscription.endpoint))
                )
              : record(subscription.endpoint, words(failure))
        })
      )

    const deliver = (subscription: PushSubscription, notification: Notification) =>
      attempt(subscription, notification).pipe(
        Effect.retry({ schedule: retrySchedule, while: (failure) => failure._tag === "PushUnavailable" }),
        Effect.zipRight(Metrics.pushed("sent")),
        Effect.catchTags({
          PushGone: () => Metrics.pushed("gone"),
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

    const find = ({ deviceId, endpoint, organizationId }: Subscriber) =>
      Effect.map(subscriptions.list(organizationId), (all) =>
        Option.fromNullable(all.find((each) => each.endpoint === endpoint && each.deviceId === deviceId))
      )

    const status = (subscriber: Subscriber): Effect.Effect<PushStatus, StoreUnavailable> =>
      Effect.map(find(subscriber), (found) => ({
        subscribed: Option.isSome(found),
        // What became of others' pushes to it is not told.
        last: Option.flatMap(found, ({ endpoint }) => Option.fromNullable(outcomes.get(endpoint)))
      }))

    const subscribe = Effect.fn("Push.subscribe")(function* (subscription: PushSubscription) {
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
    })

    const unsubscribe = (deviceId: string, endpoint: string) =>
      Effect.zipRight(
        Effect.sync(() => outcomes.delete(endpoint)),
        subscriptions.remove(deviceId, endpoint)
      )

    /** Sends one push at once, one attempt, and waits for what the push service says. */
    const test = Effect.fn("Push.test")(function* (subscriber: Subscriber) {
      const subscription = yield* find(subscriber)
      // How it ended is in the status.
      if (Option.isSome(subscription)) yield* Effect.ignore(attempt(subscription.value, TEST))
      return yield* status(subscriber)
    })

    /** Begins to send to every browser of the organisation, and does not wait. */
    const notify = Effect.fn("Push.notify")(function* (
      organizationId: OrganizationId,
      notification: Notification
    ) {
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

    return {
      /** The key that browsers subscribe with (VAPID `applicationServerKey`), base64url. */
      publicKey: subscriptions.vapidKey.publicKey,
      subscribe,
      unsubscribe,
      status,
      test,
      notify,
      /** Since when anyone of this organisation may want pushes, in milliseconds since the epoch. Costs nothing. */
      wantedSince: (organizationId: OrganizationId) => wanted.get(organizationId)?.since,
      /** True where any organisation wants pushes. */
      isWanted: () => wanted.size > 0
    }
  })

export class Push extends Context.Tag("@causeway/hub/Push")<
  Push,
  Effect.Effect.Success<ReturnType<typeof make>>
>() {}

export const layer = (
  options: Options = {}
): Layer.Layer<Push, StoreUnavailable, PushSender | PushSubscriptions> => Layer.scoped(Push, make(options))
