/** A host of its own process that runs what a test gives it, says one line of JSON, and is killed. */
import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { rolldown } from "rolldown"

const modules = fileURLToPath(new URL("../../../../node_modules", import.meta.url))

/** Path of a module of this package, for the script's imports. */
export const source = (path: string): string => fileURLToPath(new URL(`../../src/${path}`, import.meta.url))

/**
 * Runs `script` with `args` until it prints a line that begins with `[`, kills it by SIGKILL, and answers that line. `before`
 * is a line of `sh` that comes before it, such as a limit.
 */
export const run = (
  root: string,
  script: string,
  args: ReadonlyArray<string>,
  before = ":"
): Effect.Effect<unknown> =>
  Effect.promise(async () => {
    writeFileSync(join(root, "host.ts"), script)
    const build = await rolldown({
      input: join(root, "host.ts"),
      platform: "node",
      external: [/better-sqlite3/],
      resolve: { conditionNames: ["source"], modules: [modules] },
      checks: { circularDependency: false }
    })
    await build.write({
      file: join(root, "host.mjs"),
      format: "esm",
      codeSplitting: false,
      // The native module is found by its path: the program stands outside of the checkout.
      paths: { "better-sqlite3": join(modules, "better-sqlite3/lib/index.js") }
    })
    await build.close()
    const program = [process.execPath, join(root, "host.mjs"), ...args]
    const host = spawn("/bin/sh", ["-c", `${before}; exec "$@"`, "host", ...program], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    const said = await new Promise<string>((resolve, reject) => {
      createInterface(host.stdout).on("line", (line) => line.startsWith("[") && resolve(line))
      host.once("exit", (code) => reject(new Error(`the host ended with ${code}`)))
    })
    host.removeAllListeners("exit").kill("SIGKILL")
    return JSON.parse(said)
  })
