/** What is changed of a session: its title, model and permissions, and whether it is archived. */
import { type ReactNode, useState } from "react"
import * as State from "../State.ts"
import { Dialog } from "./Dialog.tsx"
import { ModeField, ModelField, modes, useSure } from "./fields.tsx"
import { Problem } from "./Page.tsx"
import { useModel, useModelState } from "./use.ts"

export const Actions = ({
  cancel,
  children
}: {
  readonly cancel?: () => void
  readonly children: ReactNode
}) => (
  <div className="actions">
    <span className="grow" />
    {cancel === undefined ? null : (
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    )}
    {children}
  </div>
)

/** A change that closes its dialog once the hub has made it, and else says why not. */
export const useChange = (close: () => void) => {
  const [problem, setProblem] = useState<string | null>(null)
  const change = async (made: Promise<string | null>): Promise<void> => {
    const refused = await made
    setProblem(refused)
    if (refused === null) close()
  }
  return [<Problem key="problem" text={problem} />, change] as const
}

export const SettingsDialog = ({
  open,
  close
}: {
  readonly open: State.Open
  readonly close: () => void
}) => {
  const model = useModel()
  const about = State.about(useModelState(), open)
  const modeNow = about.mode ?? ""
  const [name, setName] = useState(about.model ?? "")
  const [mode, setMode] = useState(modeNow)
  const { isSettled, question } = useSure(mode, modeNow)
  const isKnown = modes.some(([value]) => value === mode)
  return (
    <Dialog title="Model and permissions" close={close}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          if (!isSettled) return
          const wanted = name.trim()
          if (wanted !== "" && wanted !== about.model) model.setModel(wanted)
          if (mode !== "" && mode !== modeNow) model.setMode(mode)
          close()
        }}
      >
        <ModelField id="set-model" label="Model" value={name} set={setName} />
        <ModeField
          id="set-mode"
          notAllowed={about.environment?.offers.notAllowed ?? []}
          others={isKnown ? [] : [[mode, mode === "" ? "not told" : mode]]}
          value={mode}
          set={setMode}
        />
        {question}
        <p className="note">Both are changed with Done, and hold once the agent has confirmed them.</p>
        <Actions cancel={close}>
          <button type="submit" className="primary" disabled={!isSettled}>
            Done
          </button>
        </Actions>
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
  const [problem, change] = useChange(close)
  return (
    <Dialog title="Rename session" close={close}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          void change(model.rename(id, text.trim()))
        }}
      >
        <label htmlFor="rename">Title</label>
        <input id="rename" value={text} maxLength={200} onChange={(event) => setText(event.target.value)} />
        {problem}
        <Actions>
          <button type="submit" className="primary">
            Save
          </button>
        </Actions>
      </form>
    </Dialog>
  )
}

export const ArchiveDialog = ({ id, close }: { readonly id: string; readonly close: () => void }) => {
  const model = useModel()
  const [problem, change] = useChange(close)
  return (
    <Dialog title="Archive this session?" close={close}>
      <p>Its transcript stays and can be read; nothing more can be sent.</p>
      {problem}
      <Actions cancel={close}>
        <button type="button" className="danger" onClick={() => void change(model.archive(id))}>
          Archive
        </button>
      </Actions>
    </Dialog>
  )
}
