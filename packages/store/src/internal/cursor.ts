/** Opaque cursors of lists that are ordered by creation, newest first: base64url of `<created_at>:<id>`. */

import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"

export interface Position {
  readonly createdAt: number
  readonly id: string
}

export const encode = (position: Position): string =>
  Encoding.encodeBase64Url(`${position.createdAt}:${position.id}`)

/** `undefined`: this hub did not make it. */
export const decode = (cursor: string): Position | undefined => {
  const text = Encoding.decodeBase64UrlString(cursor)
  if (Either.isLeft(text)) return undefined
  const parts = /^(\d{1,15}):([A-Za-z0-9_-]{1,128})$/.exec(text.right)
  const [, createdAt, id] = parts ?? []
  return createdAt === undefined || id === undefined ? undefined : { createdAt: Number(createdAt), id }
}
