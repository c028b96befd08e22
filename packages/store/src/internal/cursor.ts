/** Lists ordered by creation, newest first, a page at a time. A cursor is base64url of `<created_at>:<id>`. */

import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import { CursorInvalid } from "../Errors.ts"

export interface Position {
  readonly createdAt: number
  readonly id: string
}

const encode = (position: Position): string =>
  Encoding.encodeBase64Url(`${position.createdAt}:${position.id}`)

/** The position that a page begins after, where a cursor says one. */
export const decode = (cursor: string | undefined): Effect.Effect<Position | undefined, CursorInvalid> => {
  if (cursor === undefined) return Effect.succeed(undefined)
  return Effect.mapBoth(Encoding.decodeBase64UrlString(cursor), {
    onFailure: () => new CursorInvalid({ cursor }),
    onSuccess: (text) => /^(\d{1,15}):([A-Za-z0-9_-]{1,128})$/.exec(text)
  }).pipe(
    Effect.flatMap((parts) => {
      const [, createdAt, id] = parts ?? []
      return createdAt === undefined || id === undefined
        ? new CursorInvalid({ cursor })
        : Effect.succeed({ createdAt: Number(createdAt), id })
    })
  )
}

/** One page of what a query for `limit + 1` rows has found. `next`: the cursor of the following page. */
export const page = <A extends Position>(found: ReadonlyArray<A>, limit: number) => {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next: found.length > limit && last !== undefined ? encode(last) : undefined }
}
