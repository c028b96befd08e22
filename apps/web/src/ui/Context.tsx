/** How full the context of a session is. */
import * as Usage from "@causeway/transcript/Usage"
import * as Text from "../Text.ts"

/** Shares of the context from which a person is warned. */
export const WARN = 0.6
export const ALARM = 0.9

export const Context = ({ used, model }: { readonly used: number; readonly model: string | null }) => {
  const share = used / Usage.contextLimit(model)
  const percent = Math.round(share * 100)
  const kind = share >= ALARM ? "bad" : share >= WARN ? "warn" : ""
  return (
    <span className={`context ${kind}`} title={`${Text.tokens(used)} tokens`}>
      <meter
        min={0}
        max={100}
        low={60}
        high={90}
        optimum={0}
        value={Math.min(100, percent)}
        aria-label="Context used"
      />
      {percent} % of context
      {share >= ALARM ? " · nearly full" : share >= WARN ? " · filling" : ""}
    </span>
  )
}
