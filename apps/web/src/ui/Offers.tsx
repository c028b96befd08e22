/** What can be chosen while a command or a file is being named. */
import { useEffect } from "react"
import type { Typing } from "../Mention.ts"
import * as Text from "../Text.ts"

export const Offers = ({
  id,
  kind,
  offers,
  isKnown,
  picked,
  choose
}: {
  readonly id: string
  readonly kind: Typing["kind"] | undefined
  readonly offers: ReadonlyArray<string>
  /** Whether there is anything to choose from. */
  readonly isKnown: boolean
  readonly picked: number
  readonly choose: (offer: string) => void
}) => {
  useEffect(() => {
    document.getElementById(`${id}-${picked}`)?.scrollIntoView({ block: "nearest" })
  }, [id, picked])
  return (
    <>
      {offers.length === 0 ? null : (
        <div
          className="offers"
          translate="no"
          role="listbox"
          id={id}
          aria-label={kind === "command" ? "Commands" : "Files"}
        >
          {offers.map((offer, n) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the text field has the focus and takes the keys.
            <div
              key={offer}
              id={`${id}-${n}`}
              role="option"
              tabIndex={-1}
              aria-selected={n === picked}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => choose(offer)}
            >
              {kind === "command" ? "/" : "@"}
              <bdi>{Text.line(offer, 300)}</bdi>
            </div>
          ))}
        </div>
      )}
      {kind === undefined || isKnown ? null : (
        <p className="note offer" role="status">
          {kind === "file"
            ? "No files are known here yet: write the path. Files that the agent names are offered."
            : "Commands are offered once the agent has begun."}
        </p>
      )}
    </>
  )
}
