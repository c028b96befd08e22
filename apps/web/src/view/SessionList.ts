/** The list of sessions. */
import type { Environment, Session } from "../Api.ts"
import * as Route from "../Route.ts"
import { h } from "./dom.ts"

/** A session with what the list shows beside it. */
export interface Entry {
  readonly session: Session
  readonly environment: Environment | undefined
  readonly current: boolean
}

const statusWords: ReadonlyMap<string, string> = new Map([
  ["pending", "waiting for a host"],
  ["idle", "ready"],
  ["running", "working"],
  ["requires_action", "needs you"]
])

/** What a session is doing, in words. */
export const statusText = (status: string, archived: boolean): string =>
  archived ? "archived" : (statusWords.get(status) ?? status)

/** Whether two entries show the same. */
export const same = (a: Entry, b: Entry): boolean => JSON.stringify(a) === JSON.stringify(b)

export const build = ({ session, environment, current }: Entry): HTMLElement =>
  h(
    "li",
    {},
    h(
      "a",
      {
        class: current ? "current" : "",
        attrs: { href: Route.toSession(session.id), "aria-current": current ? "page" : null }
      },
      h("span", { class: "title" }, session.title ?? "New session"),
      h(
        "span",
        { class: `status ${session.archived ? "archived" : session.status}` },
        statusText(session.status, session.archived)
      ),
      h(
        "span",
        { class: "where" },
        environment === undefined
          ? "no environment"
          : `${environment.name}${environment.online ? "" : " · offline"}`
      ),
      h("span", { class: "last" }, session.lastMessage ?? "")
    )
  )
