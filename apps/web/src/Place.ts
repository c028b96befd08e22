/** Where a session works: its directory, and the branch that is out there. */
import type { Environment } from "@causeway/protocol/Gateway/Answers"
import type { Session } from "@causeway/protocol/http/Sessions"

export interface Place {
  readonly machine: string | null
  /** Null before its agent has told it, where it is a worktree of its own. */
  readonly directory: string | null
  readonly branch: string | null
  readonly isWorktree: boolean
}

/** Branches of worktrees that the bridge makes are named after their sessions, and so are the worktrees. */
const branchOf = (body: string): string => `causeway/${body}`

/** `told`: the directory that the agent itself has named; it knows best. */
export const of = (
  id: string,
  told: string | null,
  session: Session | undefined,
  environment: Environment | undefined
): Place | null => {
  const body = id.replace(/^(?:session|cse)_/, "")
  const machine = environment === undefined || environment.machineName === "" ? null : environment.machineName
  const isApart =
    told === null ? Boolean(session?.session_context.worktree) : told.split(/[\\/]/).includes(body)
  if (isApart) return { machine, directory: told, branch: branchOf(body), isWorktree: true }
  const directory = told ?? environment?.directory ?? null
  if (directory === null || directory === "") return null
  // What is out elsewhere is not known here.
  const branch = environment?.directory === directory ? environment.branch : null
  return { machine, directory, branch, isWorktree: false }
}
