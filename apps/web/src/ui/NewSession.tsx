import { type FormEvent, useId, useState } from "react"
import * as Text from "../Text.ts"
import { Dialog } from "./Dialog.tsx"
import { useModel, useModelState } from "./use.ts"

/** Modes of permission that agents know. */
export const modes: ReadonlyArray<readonly [mode: string, words: string]> = [
  ["default", "Ask each time"],
  ["acceptEdits", "Accept edits"],
  ["plan", "Plan first"],
  ["bypassPermissions", "Allow everything"]
]

export const NewSession = ({ close }: { readonly close: () => void }) => {
  const model = useModel()
  const state = useModelState()
  const online = state.environments.filter((environment) => environment.online)
  const offline = state.environments.filter((environment) => !environment.online)
  const id = useId()
  const [place, setPlace] = useState(
    () => localStorage.getItem("place") ?? online[0]?.id ?? state.environments[0]?.id ?? ""
  )
  const chosen = state.environments.some((environment) => environment.id === place)
    ? place
    : (online[0]?.id ?? state.environments[0]?.id ?? "")
  const [title, setTitle] = useState("")
  const [agent, setAgent] = useState("")
  const [name, setName] = useState("")
  const [mode, setMode] = useState("")
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const blank = (text: string): string | null => (text.trim() === "" ? null : text.trim())
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    setBusy(true)
    localStorage.setItem("place", chosen)
    void model
      .begin({
        environmentId: chosen,
        title: blank(title),
        model: blank(name),
        permissionMode: blank(mode),
        agent: blank(agent)
      })
      .then((refused) => {
        setBusy(false)
        setProblem(refused)
        if (refused === null) close()
      })
  }
  const options = (list: typeof state.environments) =>
    list.map((environment) => (
      <option key={environment.id} value={environment.id}>
        {`${Text.line(environment.name, 60)} · ${Text.line(environment.directory, 120)}`}
      </option>
    ))
  return (
    <Dialog title="New session" close={close}>
      <form className="fields" onSubmit={submit}>
        <label htmlFor={`${id}-place`}>Machine and directory</label>
        <select id={`${id}-place`} value={chosen} onChange={(event) => setPlace(event.target.value)}>
          {online.length === 0 ? null : <optgroup label="Online">{options(online)}</optgroup>}
          {offline.length === 0 ? null : (
            <optgroup label="Offline (it waits until they are back)">{options(offline)}</optgroup>
          )}
        </select>
        <label htmlFor={`${id}-title`}>Title (optional)</label>
        <input
          id={`${id}-title`}
          value={title}
          maxLength={200}
          onChange={(event) => setTitle(event.target.value)}
        />
        <div className="two">
          <div>
            <label htmlFor={`${id}-agent`}>Agent</label>
            <select id={`${id}-agent`} value={agent} onChange={(event) => setAgent(event.target.value)}>
              <option value="">As the machine is set</option>
              {state.agents.map((driver) => (
                <option key={driver} value={driver}>
                  {Text.line(driver, 60)}
                </option>
              ))}
            </select>
          </div>
          <div>
            <label htmlFor={`${id}-mode`}>Permissions</label>
            <select id={`${id}-mode`} value={mode} onChange={(event) => setMode(event.target.value)}>
              <option value="">As the machine is set</option>
              {modes.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </div>
        </div>
        <label htmlFor={`${id}-model`}>Model (optional)</label>
        <input
          id={`${id}-model`}
          list={`${id}-models`}
          value={name}
          placeholder="As the agent chooses"
          maxLength={200}
          onChange={(event) => setName(event.target.value)}
        />
        <datalist id={`${id}-models`}>
          {state.models.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
        {problem === null ? null : (
          <p className="note bad" role="alert">
            {problem}
          </p>
        )}
        {state.environments.length === 0 ? (
          <p className="note">No machine has connected yet. Start one with: causeway up</p>
        ) : null}
        <div className="actions">
          <span className="grow" />
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy || chosen === ""}>
            Start session
          </button>
        </div>
      </form>
    </Dialog>
  )
}
