// biome-ignore-all lint/suspicious/noArrayIndexKey: parts of one text or call never move.
/** Where people write to the agent: drafts, history, commands, attachments. */
import type { JsonObject } from "@causeway/transcript/Read"
import { CornerDownRight, Paperclip, SendHorizontal, Square, X } from "lucide-react"
import { type ClipboardEvent, type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react"
import type { Open } from "../Model.ts"
import * as Text from "../Text.ts"
import { useModel } from "./use.ts"

interface Attached {
  readonly name: string
  readonly bytes: number
  readonly block: JsonObject
}

/** Of all attachments of a message, in bytes: what the hub takes in one event, with room for the rest. */
const BYTES_MAX = 3_000_000
const images: ReadonlySet<string> = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"])

const base64 = (file: File): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ""))
    reader.onerror = () => reject(new Error("the file cannot be read"))
    reader.readAsDataURL(file)
  })

const attach = async (file: File): Promise<Attached> => {
  if (images.has(file.type) || file.type === "application/pdf") {
    const source = { type: "base64", media_type: file.type, data: await base64(file) }
    const block = images.has(file.type)
      ? { type: "image", source }
      : { type: "document", source, title: file.name }
    return { name: file.name, bytes: file.size, block }
  }
  const data = await file.text()
  if (data.includes("\0")) throw new Error(`${file.name} is neither text, PDF nor an image`)
  return {
    name: file.name,
    bytes: file.size,
    block: { type: "document", source: { type: "text", media_type: "text/plain", data }, title: file.name }
  }
}

const draftKey = (id: string) => `draft:${id}`

export const Composer = ({
  open,
  busy,
  stopping
}: {
  readonly open: Open
  readonly busy: boolean
  readonly stopping: boolean
}) => {
  const model = useModel()
  const [text, setText] = useState(() => localStorage.getItem(draftKey(open.id)) ?? "")
  const [attached, setAttached] = useState<ReadonlyArray<Attached>>([])
  const [problem, setProblem] = useState<string | null>(null)
  const [picked, setPicked] = useState(0)
  const [dismissed, setDismissed] = useState(false)
  const [past, setPast] = useState(-1)
  const box = useRef<HTMLTextAreaElement>(null)
  const file = useRef<HTMLInputElement>(null)
  const listId = useId()

  const write = (next: string): void => {
    setText(next)
    setDismissed(false)
    setPicked(0)
    if (next === "") localStorage.removeItem(draftKey(open.id))
    else localStorage.setItem(draftKey(open.id), next)
  }

  useEffect(() => {
    const element = box.current
    if (element === null || text.length < 0) return
    element.style.height = "auto"
    element.style.height = `${Math.min(240, element.scrollHeight)}px`
  }, [text])

  const { items } = open.view.conversation
  const history = useMemo(
    () =>
      items
        .flatMap((item) =>
          item.kind === "message" && item.role === "user" && item.text !== "" ? [item.text] : []
        )
        .slice(-100)
        .reverse(),
    [items]
  )
  const slash = /^\/([\w:-]*)$/.exec(text)?.[1]
  const commands =
    slash === undefined || dismissed
      ? []
      : open.view.commands.filter((name) => name.toLowerCase().startsWith(slash.toLowerCase())).slice(0, 12)
  const mention = /(?:^|\s)@([\w./-]*)$/.exec(text)?.[1]
  const files = useMemo(() => {
    if (mention === undefined) return []
    const found = new Set<string>()
    for (const item of items) {
      if (item.kind !== "tool_call" || typeof item.input !== "object" || item.input === null) continue
      const path = "file_path" in item.input ? item.input.file_path : undefined
      if (typeof path === "string") found.add(path)
    }
    return [...found]
      .filter((path) => path.toLowerCase().includes(mention.toLowerCase()))
      .slice(-12)
      .reverse()
  }, [items, mention])
  const offers = commands.length > 0 ? commands : dismissed ? [] : files
  const choose = (offer: string): void => {
    write(
      commands.length > 0 ? `/${offer} ` : `${text.slice(0, text.length - (mention?.length ?? 0))}${offer} `
    )
    box.current?.focus()
  }

  const send = (steer: boolean): void => {
    const words = text.trim()
    if (words === "" && attached.length === 0) return
    model.send(
      words,
      attached.map(({ block }) => block),
      steer
    )
    write("")
    setAttached([])
    setProblem(null)
    setPast(-1)
  }

  const add = async (given: ReadonlyArray<File>): Promise<void> => {
    setProblem(null)
    try {
      const next = [...attached, ...(await Promise.all(given.map(attach)))]
      if (next.reduce((sum, one) => sum + one.bytes, 0) > BYTES_MAX)
        setProblem("Attachments are limited to 3 MB.")
      else setAttached(next)
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "The file cannot be read.")
    }
  }

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    if (event.nativeEvent.isComposing) return
    const element = event.currentTarget
    if (offers.length > 0) {
      const offer = offers[picked] ?? offers[0]
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault()
        setPicked((picked + (event.key === "ArrowDown" ? 1 : offers.length - 1)) % offers.length)
        return
      }
      if ((event.key === "Tab" || event.key === "Enter") && offer !== undefined) {
        event.preventDefault()
        choose(offer)
        return
      }
      if (event.key === "Escape") {
        setDismissed(true)
        return
      }
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault()
      send(event.ctrlKey || event.metaKey ? busy : false)
      return
    }
    const older =
      event.key === "ArrowUp" && (text === "" || past >= 0) && element.selectionStart === element.selectionEnd
    if (older && history[past + 1] !== undefined) {
      event.preventDefault()
      write(history[past + 1] ?? "")
      setPast(past + 1)
    } else if (event.key === "ArrowDown" && past >= 0) {
      event.preventDefault()
      write(past === 0 ? "" : (history[past - 1] ?? ""))
      setPast(past - 1)
    } else if (event.key === "Escape" && busy) model.stop()
  }
  const onPaste = (event: ClipboardEvent): void => {
    const given = [...event.clipboardData.files]
    if (given.length === 0) return
    event.preventDefault()
    void add(given)
  }
  const empty = text.trim() === "" && attached.length === 0

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        send(false)
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault()
        void add([...event.dataTransfer.files])
      }}
    >
      {offers.length === 0 ? null : (
        <div
          className="offers"
          role="listbox"
          id={listId}
          aria-label={commands.length > 0 ? "Commands" : "Files"}
        >
          {offers.map((offer, n) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the text field has the focus and takes the keys.
            <div
              key={offer}
              id={`${listId}-${n}`}
              role="option"
              tabIndex={-1}
              aria-selected={n === picked}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => choose(offer)}
            >
              {commands.length > 0 ? "/" : "@"}
              <bdi>{Text.line(offer, 300)}</bdi>
            </div>
          ))}
        </div>
      )}
      {attached.length === 0 ? null : (
        <ul className="attached" aria-label="Attachments">
          {attached.map((one, n) => (
            <li key={`${one.name}-${n}`}>
              <Paperclip size={13} aria-hidden="true" />
              <bdi>{Text.line(one.name, 60)}</bdi>
              <button
                type="button"
                className="icon"
                aria-label={`Remove ${Text.line(one.name, 60)}`}
                onClick={() => setAttached(attached.filter((other) => other !== one))}
              >
                <X size={13} aria-hidden="true" />
              </button>
            </li>
          ))}
        </ul>
      )}
      {problem === null ? null : (
        <div className="note bad" role="alert">
          {problem}
        </div>
      )}
      <div className="box">
        <textarea
          ref={box}
          rows={1}
          placeholder={busy ? "Message the agent: it takes it when it can" : "Message the agent"}
          aria-label="Message the agent"
          aria-autocomplete="list"
          {...(offers.length === 0
            ? {}
            : { "aria-controls": listId, "aria-activedescendant": `${listId}-${picked}` })}
          value={text}
          onChange={(event) => {
            setPast(-1)
            write(event.target.value)
          }}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <div className="tools">
          <input
            ref={file}
            type="file"
            multiple
            hidden
            aria-label="Files to attach"
            onChange={(event) => {
              void add([...(event.target.files ?? [])])
              event.target.value = ""
            }}
          />
          <button
            type="button"
            className="icon"
            aria-label="Attach files"
            title="Attach files"
            onClick={() => file.current?.click()}
          >
            <Paperclip size={17} aria-hidden="true" />
          </button>
          <span className="grow" />
          {busy ? (
            <>
              <button type="button" className="danger" disabled={stopping} onClick={() => model.stop()}>
                <Square size={13} aria-hidden="true" />
                {stopping ? "Stopping…" : "Stop"}
              </button>
              <button
                type="button"
                disabled={empty}
                aria-label="Steer"
                title="Interrupt the agent and send this (Ctrl+Enter)"
                onClick={() => send(true)}
              >
                <CornerDownRight size={15} aria-hidden="true" />
                <span className="label">Steer</span>
              </button>
            </>
          ) : null}
          <button
            type="submit"
            className="primary"
            disabled={empty}
            title={busy ? "Taken after what the agent does now" : "Send (Enter)"}
          >
            <SendHorizontal size={15} aria-hidden="true" />
            {busy ? "Queue" : "Send"}
          </button>
        </div>
      </div>
    </form>
  )
}
