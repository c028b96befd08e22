/** Warns of credentials that expire soon. */
import { KeyRound } from "lucide-react"
import { useEffect, useState } from "react"
import * as Expiry from "../Expiry.ts"
import type * as Hub from "../Hub.ts"
import * as Route from "../Route.ts"
import * as Text from "../Text.ts"
import { useModel, useModelState, useNow } from "./use.ts"

/** How often they are read: they change seldom. */
const READ_MILLIS = 10 * 60_000

/** Access tokens of the hub; null where this device may not see them, or they are not read yet. */
export const useTokens = (): ReadonlyArray<Hub.Token> | null => {
  const model = useModel()
  const { connection } = useModelState()
  const [tokens, setTokens] = useState<ReadonlyArray<Hub.Token> | null>(null)
  const isConnected = connection._tag === "connected"
  useEffect(() => {
    if (!isConnected) return
    let mounted = true
    const read = (): void => {
      void model.tokens().then((result) => {
        if (mounted && result.ok) setTokens(result.value)
      })
    }
    read()
    const timer = setInterval(read, READ_MILLIS)
    return () => {
      mounted = false
      clearInterval(timer)
    }
  }, [model, isConnected])
  return tokens
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
        Access token <bdi>{Text.exactLine(first.credential.name, 40)}</bdi> {Expiry.words(first.left)}
        {others.length === 0 ? "" : `, and ${others.length} more`}
      </span>
    </a>
  )
}
