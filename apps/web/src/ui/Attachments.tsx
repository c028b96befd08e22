// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
import type { JsonObject } from "@causeway/transcript/Read"
import { FileText } from "lucide-react"
import * as Attachment from "../Attachment.ts"
import * as Text from "../Text.ts"

/** What goes with a message or a result beside its text: pictures as pictures, documents by name, all else by its kind. */
export const Attachments = ({ blocks }: { readonly blocks: ReadonlyArray<JsonObject> }) => {
  const urls = blocks.flatMap(Attachment.urlOf)
  const names = Attachment.titles(blocks)
  const others = blocks.filter(
    (block) => Attachment.urlOf(block).length === 0 && Attachment.titles([block]).length === 0
  )
  return (
    <>
      {urls.length === 0 ? null : (
        <div className="images">
          {urls.map((url, key) => (
            <img
              key={key}
              src={url}
              alt={urls.length === 1 ? "Attached" : `Attached, ${key + 1} of ${urls.length}`}
            />
          ))}
        </div>
      )}
      {names.length === 0 ? null : (
        <ul className="attached" aria-label="Attached">
          {names.map((name, key) => (
            <li key={key}>
              <FileText size={15} aria-hidden="true" />
              <bdi>{Text.line(name, 80)}</bdi>
            </li>
          ))}
        </ul>
      )}
      {others.length === 0 ? null : (
        <div className="note">[{Text.line(others.map(({ type }) => String(type)).join(", "))}]</div>
      )}
    </>
  )
}
