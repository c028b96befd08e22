/** How full the context of a session is. */
import * as Usage from "@causeway/transcript/Usage"
import * as Text from "../Text.ts"

/** Classes and words by how urgent it is. */
export const kinds = { ok: "", warn: "warn", urgent: "bad" } as const
const words = { ok: "", warn: " · filling", urgent: " · nearly full" } as const

export const Context = ({ used, model }: { readonly used: number; readonly model: string | null }) => {
  const { level, percent } = Usage.filling(used, model)
  return (
    <span className={`context ${kinds[level]}`} title={`${Text.tokens(used)} tokens`}>
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
      {words[level]}
    </span>
  )
}
