/** Warns of credentials that expire soon. */
import type { Token } from "@causeway/protocol/Gateway/Answers"
import { KeyRound } from "lucide-react"
import { useCallback } from "react"
import * as Expiry from "../Expiry.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { useModel, useModelState, useNow, useRead } from "./use.ts"

/** How often they are read: they change seldom. */
const READ_MILLIS = 10 * 60_000

/** Access tokens of the hub; null where this device may not see them, or they are not read yet. */
export const useTokens = (): ReadonlyArray<Token> | null => {
  const { hub } = useModel()
  const isConnected = useModelState().connection._tag === "connected"
  const read = useCallback(async () => {
    const result = await hub.tokens()
    return result.ok ? result.value : null
  }, [hub])
  return useRead(isConnected ? read : null, READ_MILLIS)
}

export const Expiring = () => {
  const tokens = useTokens()
  const now = useNow(60_000)
  const [first, ...others] = Expiry.soon(tokens ?? [], now)
  if (first === undefined) return null
  return (
    <a className="inbox warn expiring" href={Route.toMetrics}>
      <KeyRound size={16} aria-hidden="true" />
      <span>
        Access token <bdi>{Text.line(first.credential.name, 40)}</bdi> {Expiry.words(first.left)}
        {others.length === 0 ? "" : `, and ${others.length} more`}
      </span>
    </a>
  )
}
