/** The dialog that begins a session. */
import { type FormEvent, useId, useState } from "react"
import * as Text from "../Text.ts"
import { Dialog } from "./Dialog.tsx"
import { ModeField, ModelField, useSure } from "./fields.tsx"
import { Problem } from "./Page.tsx"
import { useModel, useModelState, useStores } from "./use.ts"

export const NewSession = ({ close }: { readonly close: () => void }) => {
  const model = useModel()
  const state = useModelState()
  const open = state.environments.filter((environment) => environment.offers.sessions)
  const online = open.filter((environment) => environment.online)
  const offline = open.filter((environment) => !environment.online)
  const closed = state.environments.filter((environment) => !environment.offers.sessions)
  const id = useId()
  const [store] = useStores()
  const [place, setPlace] = useState(() => store.get("place") ?? "")
  const environment = open.find(({ id }) => id === place) ?? online[0] ?? open[0]
  const chosen = environment?.id ?? ""
  const { agents = [], notAllowed = [], worktrees = false } = environment?.offers ?? {}
  const [title, setTitle] = useState("")
  const [agentName, setAgent] = useState("")
  // What another machine offers is not asked of this one.
  const agent = agents.includes(agentName) ? agentName : ""
  const [worktree, setWorktree] = useState(false)
  const [name, setName] = useState("")
  const [modeName, setMode] = useState("")
  const mode = notAllowed.includes(modeName) ? "" : modeName
  const { isSettled, question } = useSure(mode)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const blank = (text: string): string | null => (text.trim() === "" ? null : text.trim())
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (!isSettled) return
    setBusy(true)
    store.set("place", chosen)
    void model
      .begin({
        environmentId: chosen,
        title: blank(title),
        model: blank(name),
        permissionMode: blank(mode),
        agent: blank(agent),
        ...(worktrees && worktree ? { worktree } : {})
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
          {closed.length === 0 ? null : (
            <optgroup label="Takes no further sessions" disabled>
              {options(closed)}
            </optgroup>
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
              {agents.length === 0 ? <option value="">As the machine is set</option> : null}
              {agents.map((driver, n) => (
                <option key={driver} value={n === 0 ? "" : driver}>
                  {Text.line(driver, 60)}
                </option>
              ))}
            </select>
          </div>
          <div>
            <ModeField
              id={`${id}-mode`}
              notAllowed={notAllowed}
              others={[["", "As the machine is set"]]}
              value={mode}
              set={setMode}
            />
          </div>
        </div>
        {question}
        <ModelField
          id={`${id}-model`}
          label="Model (optional)"
          placeholder="As the agent chooses"
          value={name}
          set={setName}
        />
        {worktrees ? (
          <>
            <label className="check" htmlFor={`${id}-worktree`}>
              <input
                id={`${id}-worktree`}
                type="checkbox"
                checked={worktree}
                aria-describedby={`${id}-worktree-note`}
                onChange={(event) => setWorktree(event.target.checked)}
              />
              In a git worktree of its own
            </label>
            <p className="note" id={`${id}-worktree-note`}>
              It works beside {Text.line(environment?.directory ?? "", 120)}, on a branch of its own.
            </p>
          </>
        ) : null}
        <Problem text={problem} />
        {state.environments.length === 0 ? (
          <p className="note">No machine has connected yet. Start one with: causeway up</p>
        ) : null}
        <div className="actions">
          <span className="grow" />
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy || chosen === "" || !isSettled}>
            Start session
          </button>
        </div>
      </form>
    </Dialog>
  )
}
