import type { Environment } from "@causeway/protocol/Gateway/Answers"
import { describe, expect, it } from "@effect/vitest"
import * as Place from "../src/Place.ts"

const environment: Environment = {
  id: "env",
  name: "engine",
  machineName: "box",
  directory: "/home/ada/engine",
  branch: "main",
  online: true,
  lastSeenAt: null,
  offers: { agents: [], worktrees: true, sessions: true, standIn: false, notAllowed: [], alwaysAsk: [] }
}
const ID = "session_0af1"

describe("Place", () => {
  it("is the directory that the agent names, with the branch that is out there", () => {
    expect(Place.of(ID, null, undefined, environment)).toMatchObject({
      machine: "box",
      directory: "/home/ada/engine",
      branch: "main",
      isWorktree: false
    })
    // Elsewhere another branch may be out.
    expect(Place.of(ID, "/home/ada/other", undefined, environment)).toMatchObject({
      directory: "/home/ada/other",
      branch: null
    })
    expect(Place.of(ID, null, undefined, undefined)).toBeNull()
  })

  it("is a worktree where its path is named after the session", () => {
    for (const told of ["/state/worktrees/0af1", "/state/worktrees/0af1/packages/a", "C:\\w\\0af1"]) {
      expect(Place.of(ID, told, undefined, environment)).toMatchObject({
        directory: told,
        branch: "causeway/0af1",
        isWorktree: true
      })
    }
  })
})
