// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
// biome-ignore-all lint/a11y/noNoninteractiveTabindex: what scrolls is scrolled by keyboard, too.
// biome-ignore-all lint/a11y/useSemanticElements: the element that the rule names says something else.
import { memo, useMemo, useState } from "react"
import * as Edit from "../Edit.ts"
import * as Text from "../Text.ts"

const signs = { same: " ", add: "+", remove: "−", skip: "⋯" } as const
const words = { same: "", add: "added: ", remove: "removed: ", skip: "" } as const

/** One change of one file. */
export const Diff = memo(({ edit }: { readonly edit: Edit.Edit }) => {
  const [whole, setWhole] = useState(false)
  const exact = useMemo(
    () => ({ ...edit, before: Text.exact(edit.before), after: Text.exact(edit.after) }),
    [edit]
  )
  const lines = useMemo(() => Edit.lines(exact, whole), [exact, whole])
  const { added, removed } = Edit.count(lines)
  return (
    <figure className="diff">
      <figcaption>
        <bdi className="path" translate="no">
          {Text.line(edit.path, 400)}
        </bdi>
        <span className="count">
          <span className="plus">+{added}</span>{" "}
          <span className="minus">{Edit.isKnown(edit) ? `−${removed}` : "−?"}</span>
        </span>
      </figcaption>
      <div className="lines" translate="no" tabIndex={0} role="region" aria-label="Change">
        {lines.map((line, key) => (
          <div key={key} className={line.kind}>
            <span className="sign" aria-hidden="true">
              {signs[line.kind]}
            </span>
            <span className="hidden">{words[line.kind]}</span>
            <span className="what">{line.text === "" ? "\u00a0" : line.text}</span>
          </div>
        ))}
      </div>
      {whole || !Edit.isClipped(lines, exact) ? null : (
        <button type="button" className="quiet" onClick={() => setWhole(true)}>
          Show all of this change
        </button>
      )}
    </figure>
  )
})
