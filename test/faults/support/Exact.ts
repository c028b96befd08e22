/** What must hold of a log in which every prompt was answered. */
import { expect } from "@effect/vitest"

export type Log = ReadonlyArray<{
  readonly source: string
  readonly payload: { readonly [key: string]: unknown }
}>

/**
 * Every uuid once; every prompt once, in the order in which it was sent; one result for each, and no error; every
 * answer that is known beforehand (`answer`, by the prompt's index) once.
 */
export const expectExact = (
  log: Log,
  prompts: ReadonlyArray<string>,
  answer: (n: number) => string | undefined
) => {
  const uuids = log.map(({ payload }) => payload["uuid"])
  expect(new Set(uuids).size).toBe(uuids.length)

  const asked = log.filter(({ payload, source }) => source === "client" && payload["type"] === "user")
  expect(asked.map(({ payload }) => payload["uuid"])).toEqual(prompts)

  const results = log.filter(({ payload }) => payload["type"] === "result")
  const answered = results.map(({ payload }) => String(payload["user_message_uuid"]))
  expect(answered.sort()).toEqual([...prompts].sort())
  expect(results.filter(({ payload }) => payload["is_error"] === true)).toEqual([])

  const said = log.flatMap(({ payload }) =>
    payload["type"] === "assistant" ? [JSON.stringify(payload["message"])] : []
  )
  for (const n of prompts.keys()) {
    const text = answer(n)
    if (text === undefined) continue
    const times = said.filter((message) => message.includes(JSON.stringify(text))).length
    expect(`${text}: ${times}`).toBe(`${text}: 1`)
  }
}
