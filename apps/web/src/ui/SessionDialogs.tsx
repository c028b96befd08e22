/** What is changed of a session: its title, model and permissions, and whether it is archived. */
import { useState } from "react"
import type { Open } from "../Model.ts"
import { Dialog } from "./Dialog.tsx"
import { isUnasked, modes, Sure } from "./NewSession.tsx"
import { useModel, useModelState } from "./use.ts"

export const SettingsDialog = ({ open, close }: { readonly open: Open; readonly close: () => void }) => {
  const model = useModel()
  const state = useModelState()
  const { row } = open.view
  const listed = state.sessions.find((session) => session.id === open.id)
  const [name, setName] = useState(row.model ?? listed?.model ?? "")
  const modeNow = row.permissionMode ?? listed?.permissionMode ?? ""
  const [mode, setMode] = useState(modeNow)
  const [isSure, setSure] = useState(false)
  const asks = isUnasked(mode) && mode !== modeNow
  return (
    <Dialog title="Model and permissions" close={close}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          if (asks && !isSure) return
          const wanted = name.trim()
          if (wanted !== "" && wanted !== (row.model ?? listed?.model)) model.setModel(wanted)
          if (mode !== "" && mode !== modeNow) model.setMode(mode)
          close()
        }}
      >
        <label htmlFor="set-model">Model</label>
        <input
          id="set-model"
          list="set-models"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <datalist id="set-models">
          {state.models.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        <label htmlFor="set-mode">Permissions</label>
        <select id="set-mode" value={mode} onChange={(event) => setMode(event.target.value)}>
          {modes.some(([value]) => value === mode) ? null : (
            <option value={mode}>{mode === "" ? "not told" : mode}</option>
          )}
          {modes.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
        {asks ? <Sure isSure={isSure} setSure={setSure} /> : null}
        <p className="note">Both are changed with Done, and hold once the agent has confirmed them.</p>
        <div className="actions">
          <span className="grow" />
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={asks && !isSure}>
            Done
          </button>
        </div>
      </form>
    </Dialog>
  )
}

export const RenameDialog = ({
  id,
  title,
  close
}: {
  readonly id: string
  readonly title: string
  readonly close: () => void
}) => {
  const model = useModel()
  const [text, setText] = useState(title)
  const [problem, setProblem] = useState<string | null>(null)
  return (
    <Dialog title="Rename session" close={close}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          void model.rename(id, text.trim()).then((refused) => {
            setProblem(refused)
            if (refused === null) close()
          })
        }}
      >
        <label htmlFor="rename">Title</label>
        <input id="rename" value={text} maxLength={200} onChange={(event) => setText(event.target.value)} />
        {problem === null ? null : (
          <p className="note bad" role="alert">
            {problem}
          </p>
        )}
        <div className="actions">
          <span className="grow" />
          <button type="submit" className="primary">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}

export const ArchiveDialog = ({ id, close }: { readonly id: string; readonly close: () => void }) => {
  const model = useModel()
  const [problem, setProblem] = useState<string | null>(null)
  return (
    <Dialog title="Archive this session?" close={close}>
      <p>Its transcript stays and can be read; nothing more can be sent.</p>
      {problem === null ? null : (
        <p className="note bad" role="alert">
          {problem}
        </p>
      )}
      <div className="actions">
        <span className="grow" />
        <button type="button" onClick={close}>
          Cancel
        </button>
        <button
          type="button"
          className="danger"
          onClick={() =>
            void model.archive(id).then((refused) => {
              setProblem(refused)
              if (refused === null) close()
            })
          }
        >
          Archive
        </button>
      </div>
    </Dialog>
  )
}
