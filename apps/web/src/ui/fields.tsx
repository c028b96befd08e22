/** Fields by which a session is set up: the model, and what the agent may do without asking. */
import { useId, useState } from "react"
import { useModelState } from "./use.ts"

/** Modes of permission that agents know. */
export const modes: ReadonlyArray<readonly [mode: string, words: string]> = [
  ["default", "Ask each time"],
  ["acceptEdits", "Accept edits"],
  ["plan", "Plan first"],
  ["bypassPermissions", "Allow everything"]
]

/** Whether an agent in this mode does all that it wants without asking. */
const isUnasked = (mode: string): boolean => mode === "bypassPermissions"

/** Asks whether somebody means it. */
const Sure = ({
  isSure,
  setSure
}: {
  readonly isSure: boolean
  readonly setSure: (isSure: boolean) => void
}) => {
  const id = useId()
  return (
    <label className="check" htmlFor={id}>
      <input id={id} type="checkbox" checked={isSure} onChange={(event) => setSure(event.target.checked)} />
      The agent may run any command and change any file without asking. I want that.
    </label>
  )
}

interface Props {
  readonly id: string
  readonly value: string
  readonly set: (value: string) => void
}

export const ModelField = ({
  id,
  label,
  placeholder,
  value,
  set
}: Props & { readonly label: string; readonly placeholder?: string }) => {
  const { models } = useModelState()
  return (
    <>
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        list={`${id}-known`}
        value={value}
        placeholder={placeholder}
        maxLength={200}
        onChange={(event) => set(event.target.value)}
      />
      <datalist id={`${id}-known`}>
        {models.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </>
  )
}

type Mode = readonly [mode: string, words: string]

/** `others`: choices before the modes that are known here; `notAllowed`: what the owner of the machine keeps back. */
export const ModeField = ({
  id,
  notAllowed,
  others,
  value,
  set
}: Props & { readonly notAllowed: ReadonlyArray<string>; readonly others: ReadonlyArray<Mode> }) => (
  <>
    <label htmlFor={id}>Permissions</label>
    <select id={id} value={value} onChange={(event) => set(event.target.value)}>
      {[...others, ...modes].map(([mode, words]) => (
        <option key={mode} value={mode} disabled={notAllowed.includes(mode)}>
          {notAllowed.includes(mode) ? `${words} (not allowed on this machine)` : words}
        </option>
      ))}
    </select>
  </>
)

/** Asks whether somebody means a mode in which nothing is asked; `isSettled`: nothing has to be asked any more. */
export const useSure = (mode: string, before = "") => {
  const [isSure, setSure] = useState(false)
  const asks = isUnasked(mode) && mode !== before
  return { isSettled: !asks || isSure, question: asks ? <Sure isSure={isSure} setSure={setSure} /> : null }
}
