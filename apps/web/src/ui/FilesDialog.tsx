/** The files that an agent read, as it read them. */
import type { FileSnapshot } from "@causeway/protocol/http/SessionManager"
import { useEffect, useState } from "react"
import type { Result } from "../Hub.ts"
import * as Text from "../Text.ts"
import { Code } from "./Code.tsx"
import { Dialog } from "./Dialog.tsx"
import { Problem } from "./Page.tsx"
import { useModel, useNow } from "./use.ts"

const Snapshot = ({ file, now }: { readonly file: FileSnapshot; readonly now: number }) => {
  const [shown, setShown] = useState(false)
  return (
    <li>
      <details onToggle={(event) => setShown(event.currentTarget.open)}>
        <summary>
          <bdi className="path" translate="no">
            {Text.exact(file.path)}
          </bdi>{" "}
          <span className="note">
            {Text.bytes(file.bytes)}
            {file.truncated ? ", its beginning" : ""} · {Text.since(Date.parse(file.created_at), now)}
          </span>
        </summary>
        {!shown ? null : file.text === null ? (
          <p className="note">It is no text, or too long: it is kept on the machine that read it.</p>
        ) : (
          <Code text={file.text} language="" />
        )}
      </details>
    </li>
  )
}

export const FilesDialog = ({ id, close }: { readonly id: string; readonly close: () => void }) => {
  const { hub } = useModel()
  const now = useNow(60_000)
  const [read, setRead] = useState<Result<ReadonlyArray<FileSnapshot>> | null>(null)
  useEffect(() => {
    void hub.snapshots(id).then(setRead)
  }, [hub, id])
  return (
    <Dialog title="Files read" close={close}>
      {read === null ? <p className="note">Reading…</p> : null}
      {read?.ok === false ? <Problem text={read.message} /> : null}
      {read?.ok === true && read.value.length === 0 ? (
        <p className="note">The agent has read no file yet, or none that was kept.</p>
      ) : null}
      {read?.ok === true ? (
        <ul className="files">
          {read.value.map((file) => (
            <Snapshot key={`${file.tool_use_id} ${file.sequence_num}`} file={file} now={now} />
          ))}
        </ul>
      ) : null}
    </Dialog>
  )
}
