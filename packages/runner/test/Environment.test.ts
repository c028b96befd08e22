import { SessionId } from "@causeway/protocol/Ids"
import { describe, expect, it } from "@effect/vitest"
import * as Environment from "../src/Environment.ts"

const spec = { runId: "run", sessionId: SessionId.make("session_a"), cwd: "/code" }

describe("an agent's environment", () => {
  it("is made of the host's, the driver's and the session's, and says where the agent is", () => {
    const env = Environment.forAgent(
      {
        environment: { PATH: "/bin", CLAUDECODE: "1", GIT_DIR: "/x/.git", CAUSEWAY_TOKEN: "t", PWD: "/x" },
        hubUrl: "http://127.0.0.1:1"
      },
      { ...spec, env: { MINE: "1" } },
      { CLAUDE_CODE_ENTRYPOINT: "causeway", CLAUDE_CODE_RESUME_INTERRUPTED_TURN: undefined }
    )
    expect(env).toEqual({
      PATH: "/bin",
      PWD: "/code",
      MINE: "1",
      CLAUDE_CODE_ENTRYPOINT: "causeway",
      CAUSEWAY_RUN_ID: "run",
      CAUSEWAY_SESSION_ID: "session_a",
      CAUSEWAY_HUB_URL: "http://127.0.0.1:1"
    })
  })

  it("holds what is passed on by name", () => {
    const environment = { CLAUDE_CODE_REMOTE: "true", CAUSEWAY_TOKEN: "t" }
    const env = Environment.forAgent({ environment, passEnv: ["CLAUDE_CODE_REMOTE", "*"] }, spec)
    expect(env).toMatchObject({ CLAUDE_CODE_REMOTE: "true" })
    expect(env).not.toHaveProperty("CAUSEWAY_TOKEN")
  })
})
