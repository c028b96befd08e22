/** Files that go with the message that is being written. */
import { useState } from "react"
import * as Attachment from "../Attachment.ts"

/** Those of messages that are not sent yet, by session: kept while another session is looked at. */
const kept = new Map<string, ReadonlyArray<Attachment.Attachment>>()

export const useAttachments = (session: string) => {
  const [attached, setAttached] = useState(() => kept.get(session) ?? [])
  const [reading, setReading] = useState(0)
  const [problem, setProblem] = useState<string | null>(null)
  const set = (next: ReadonlyArray<Attachment.Attachment>): void => {
    if (next.length === 0) kept.delete(session)
    else kept.set(session, next)
    setAttached(next)
  }
  const add = async (given: ReadonlyArray<File>): Promise<void> => {
    if (given.length === 0) return
    setProblem(null)
    setReading((count) => count + 1)
    const read = await Promise.allSettled(given.map(Attachment.read))
    const before = kept.get(session) ?? []
    const next = [...before, ...read.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []))]
    const failed = read.find((one) => one.status === "rejected")
    const tooMuch = Attachment.problem(next)
    if (tooMuch === null) set(next)
    const unread = failed?.reason instanceof Error ? failed.reason.message : "The file cannot be read."
    setProblem(tooMuch ?? (failed === undefined ? null : unread))
    setReading((count) => count - 1)
  }
  const clear = (): void => {
    set([])
    setProblem(null)
  }
  const remove = (one: Attachment.Attachment): void => set(attached.filter((other) => other !== one))
  return { attached, isReading: reading > 0, problem, add, remove, clear } as const
}
