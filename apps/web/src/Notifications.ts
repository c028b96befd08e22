/**
 * The browser's notifications: while a page is open in the background by the Notification API, and without a page by the
 * Push API through the service worker. Both are there on https and on this machine's own addresses only.
 */
import { name, object } from "@causeway/transcript/Read"
import * as Device from "./Device.ts"
import type * as Gateway from "./Gateway.ts"
import type { Notice } from "./Notice.ts"

/** Where a person's wish is kept, for this browser. */
const WISH = "notifications"

/** What can be said of notifications at this moment. */
export type State =
  /** The browser has no notifications, or keeps them from pages that came without https. */
  | { readonly _tag: "missing"; readonly insecure: boolean }
  /** A person has told the browser to refuse them. */
  | { readonly _tag: "refused" }
  | { readonly _tag: "off" }
  /** `push`: whether they come without an open page, too; else why not. */
  | { readonly _tag: "on"; readonly push: true | string }

export interface World {
  readonly call: Gateway.Gateway["call"]
  readonly store: {
    readonly get: (key: string) => string | null
    readonly set: (key: string, value: string) => void
  }
  readonly open: (url: string) => void
}

const NO_PUSH = "this browser has no push service here, so they come only while this page is open somewhere"

/** The service worker that runs, where there is one. Not waited for: one that cannot be installed never comes. */
const worker = async (): Promise<ServiceWorkerRegistration | undefined> => {
  if (!("serviceWorker" in navigator)) return undefined
  const registration = await navigator.serviceWorker.getRegistration()
  return registration?.active === null ? undefined : registration
}

const words = (cause: unknown): string =>
  cause instanceof Error && cause.message !== "" ? `${NO_PUSH} (${cause.message})` : NO_PUSH

export const make = ({ call, store, open }: World) => {
  const wanted = (): boolean => store.get(WISH) === "on"

  /** Subscribes at the browser's push service, then at the hub. Answers true, or why not. */
  const subscribe = async (): Promise<true | string> => {
    const registration = await worker()
    if (registration === undefined || !("pushManager" in registration)) return NO_PUSH
    const answer = await call("causeway.push.key", {})
    if (!answer.ok) return `the hub offers no push now: ${answer.message}`
    const key = Device.fromBase64url(name(answer.value["publicKey"]) ?? "")
    if (key === undefined) return "the hub's push key cannot be read"
    let subscription: PushSubscription
    try {
      const before = await registration.pushManager.getSubscription()
      const old = before?.options.applicationServerKey
      const same =
        old !== null &&
        old !== undefined &&
        Device.toBase64url(new Uint8Array(old)) === Device.toBase64url(key)
      // A hub that was set up anew has another key, and a subscription is bound to one.
      if (before !== null && !same) await before.unsubscribe()
      subscription = await registration.pushManager.subscribe({
        userVisibleOnly: true,
        applicationServerKey: key
      })
    } catch (cause) {
      return words(cause)
    }
    const { endpoint, keys } = subscription.toJSON()
    const { p256dh, auth } = object(keys)
    const told = await call("causeway.push.subscribe", { subscription: { endpoint, keys: { p256dh, auth } } })
    return told.ok ? true : `the hub cannot push: ${told.message}`
  }

  /** Asks the hub how pushes to this browser's subscription stand; true, or why they do not come. Subscribes nobody. */
  const ask = async (method: "causeway.push.status" | "causeway.push.test"): Promise<true | string> => {
    const registration = await worker()
    const subscription =
      registration !== undefined && "pushManager" in registration
        ? await registration.pushManager.getSubscription()
        : null
    if (subscription === null) return NO_PUSH
    const answer = await call(method, { endpoint: subscription.endpoint })
    // While the hub is away nothing is known against it.
    if (!answer.ok) return true
    const { last, subscribed } = answer.value
    const failure = name(object(last)["failure"])
    if (failure !== null) return `pushes fail: ${failure}`
    return subscribed === false ? "the hub does not know this browser; turn this off and on again" : true
  }
  const subscribed = () => ask("causeway.push.status")

  const state = async (push: () => Promise<true | string>): Promise<State> => {
    if (!("Notification" in window) || !isSecureContext) {
      return { _tag: "missing", insecure: !isSecureContext }
    }
    if (Notification.permission === "denied") return { _tag: "refused" }
    return Notification.permission === "granted" && wanted()
      ? { _tag: "on", push: await push() }
      : { _tag: "off" }
  }

  return {
    state: (): Promise<State> => state(subscribed),
    turnOn: async (): Promise<State> => {
      if ("Notification" in window && isSecureContext) await Notification.requestPermission()
      store.set(WISH, "on")
      return state(subscribe)
    },
    turnOff: async (): Promise<State> => {
      store.set(WISH, "off")
      const registration = await worker()
      const subscription = await registration?.pushManager?.getSubscription()
      if (subscription !== null && subscription !== undefined) {
        await call("causeway.push.unsubscribe", { endpoint: subscription.endpoint })
        await subscription.unsubscribe()
      }
      return state(subscribed)
    },
    /** Has the hub push to this browser now, and tells how that went. */
    test: (): Promise<State> => state(() => ask("causeway.push.test")),
    /** Shows one, where they are wanted and allowed. */
    show: (notice: Notice): void => {
      if (!("Notification" in window) || Notification.permission !== "granted" || !wanted()) return
      const { title, body, tag, url } = notice
      void worker().then((registration) => {
        if (registration !== undefined) {
          return registration.showNotification(title, { body, tag, data: { url } })
        }
        const shown = new Notification(title, { body, tag })
        shown.onclick = () => {
          shown.close()
          focus()
          open(url)
        }
        return undefined
      })
    },
    /** Takes back what was shown under a tag, by this page or by a push. */
    withdraw: (tag: string): void => {
      void worker().then(async (registration) => {
        for (const shown of (await registration?.getNotifications({ tag })) ?? []) shown.close()
      })
    },
    /** After the hub was reached: a push service may have given this browser another address meanwhile. */
    renew: async (): Promise<void> => {
      if ((await state(async () => true))._tag === "on") await subscribe()
    }
  }
}

export type Notifications = ReturnType<typeof make>
