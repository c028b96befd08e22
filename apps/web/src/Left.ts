/** Where somebody left this page, on this device: the next time it opens there. */
import * as Route from "./Route.ts"

const KEY = "left"

type Store = {
  readonly get: (key: string) => string | null
  readonly set: (key: string, value: string) => void
}

/** Null where nobody was here, or the list was looked at last. */
export const of = (store: Store): Route.Route | null => {
  const route = Route.of(store.get(KEY) ?? "")
  return route._tag === "List" ? null : route
}

export const keep = (store: Store, route: Route.Route): void => {
  // Not an event within a session: its end is what has gone on meanwhile.
  const place = route._tag === "Session" ? Route.toSession(route.id) : Route.to(route)
  if (store.get(KEY) !== place) store.set(KEY, place)
}

/** Forgets it where it is this session, which is not there any more. */
export const forget = (store: Store, id: string): void => {
  if (store.get(KEY) === Route.toSession(id)) store.set(KEY, Route.toList)
}
