/**
 * A machine to log in to, for tests: an sshd of its own on loopback, with keys of its own, that lets the user of the test
 * in and nobody else. Needs OpenSSH's server and client.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { userInfo } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** sshd wants to be called by its whole path. */
const sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find(existsSync)

/** Why tests over ssh do not run here; undefined where they do. */
export const missing: string | undefined =
  sshd === undefined
    ? "there is no sshd (openssh-server)"
    : spawnSync("ssh", ["-V"]).status !== 0
      ? "there is no ssh client"
      : userInfo().uid === 0 && !existsSync("/run/sshd")
        ? "/run/sshd is missing, which sshd wants when it is root's"
        : undefined

const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() =>
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    )
  })
})

/** Starts it in `directory`; the value is a line for `sh` that runs a command there, with a terminal. */
export const start = (directory: string): Effect.Effect<(command: string) => string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    const at = (name: string) => join(directory, name)
    yield* Effect.sync(() => {
      for (const key of ["host", "user"]) {
        spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at(key)])
      }
      writeFileSync(
        at("sshd_config"),
        [
          `Port ${port}`,
          "ListenAddress 127.0.0.1",
          `HostKey ${at("host")}`,
          `AuthorizedKeysFile ${at("user.pub")}`,
          `PidFile ${at("sshd.pid")}`,
          "PasswordAuthentication no",
          "KbdInteractiveAuthentication no",
          "UsePAM no",
          "StrictModes no",
          "PermitRootLogin yes",
          ""
        ].join("\n")
      )
    })
    yield* Effect.acquireRelease(
      Effect.async<ReturnType<typeof spawn>>((resume) => {
        const child = spawn(sshd ?? "sshd", ["-D", "-e", "-f", at("sshd_config")], {
          stdio: ["ignore", "ignore", "pipe"]
        })
        let said = ""
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          said += text
          if (said.includes("Server listening")) resume(Effect.succeed(child))
        })
        child.on("exit", () => resume(Effect.dieMessage(`sshd ended: ${said}`)))
      }),
      (child) => Effect.sync(() => void child.kill("SIGTERM"))
    )
    const options = [
      ["-F", "none"],
      ["-i", at("user")],
      ["-p", String(port)],
      ["-o", "StrictHostKeyChecking=no"],
      ["-o", `UserKnownHostsFile=${at("known")}`],
      ["-o", "LogLevel=ERROR"]
    ].flat()
    return (command) =>
      `ssh -tt ${options.map((each) => `'${each}'`).join(" ")} '${userInfo().username}@127.0.0.1' '${command.replaceAll("'", "'\\''")}'`
  })
