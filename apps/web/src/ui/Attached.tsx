// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
/** What goes with a message that is being written. */
import { FileText, X } from "lucide-react"
import * as Attachment from "../Attachment.ts"
import * as Text from "../Text.ts"

export const Attached = ({
  all,
  remove
}: {
  readonly all: ReadonlyArray<Attachment.Attachment>
  readonly remove: (one: Attachment.Attachment) => void
}) =>
  all.length === 0 ? null : (
    <ul className="attached" aria-label="Attachments">
      {all.map((one, n) => {
        const name = Text.line(one.name, 60)
        const [url] = Attachment.urlOf(one.block)
        return (
          <li key={`${one.name}-${n}`}>
            {url === undefined ? <FileText size={15} aria-hidden="true" /> : <img src={url} alt="" />}
            <span>
              <bdi>{name}</bdi> <small>{Text.bytes(one.bytes)}</small>
            </span>
            <button type="button" className="icon" aria-label={`Remove ${name}`} onClick={() => remove(one)}>
              <X size={13} aria-hidden="true" />
            </button>
          </li>
        )
      })}
    </ul>
  )
