/** Whether this browser tells of what happens while nobody looks. */
import { useEffect, useState } from "react"
import type * as Notifications from "../Notifications.ts"
import * as Text from "../Text.ts"
import { useNotifications } from "./use.ts"

const words = (state: Notifications.State): string => {
  switch (state._tag) {
    case "missing":
      return state.insecure
        ? "Browsers show notifications only of pages that came over https or from this machine. Open this page so to have them."
        : "This browser has no notifications."
    case "refused":
      return "This browser refuses notifications of this page. Allow them in the browser's settings for this site, then come back."
    case "off":
      return "When a session waits for your approval, when a turn ends and when one fails, while this page is not in front of you."
    case "on":
      return state.push === true
        ? "On, even while this page is not open."
        : `On; but ${Text.line(state.push, 300)}.`
  }
}

export const NotificationSettings = () => {
  const notifications = useNotifications()
  const [state, setState] = useState<Notifications.State | null>(null)
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    let mounted = true
    void notifications.state().then((now) => {
      if (mounted) setState(now)
    })
    return () => {
      mounted = false
    }
  }, [notifications])
  if (state === null) return null
  const change = (to: () => Promise<Notifications.State>): void => {
    setBusy(true)
    void to()
      .then(setState)
      .finally(() => setBusy(false))
  }
  return (
    <section aria-labelledby="notifications">
      <h2 id="notifications">Notifications on this device</h2>
      <label className="switch">
        <input
          type="checkbox"
          checked={state._tag === "on"}
          disabled={busy || state._tag === "missing" || state._tag === "refused"}
          onChange={(event) => change(event.target.checked ? notifications.turnOn : notifications.turnOff)}
        />
        <span>Tell me when I am needed</span>
      </label>
      <p className="note" role="status">
        {busy ? "Asking the browser…" : words(state)}
      </p>
      {state._tag === "on" ? (
        <button type="button" disabled={busy} onClick={() => change(notifications.test)}>
          Send a test
        </button>
      ) : null}
    </section>
  )
}
