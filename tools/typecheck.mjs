// Type-checks every project with the Effect diagnostics on (floating effects, missing `yield*`, …).
import { execFileSync, spawnSync } from "node:child_process"

const tsc = execFileSync("npx", ["--no-install", "effect-tsgo", "get-exe-path"], { encoding: "utf8" }).trim()
const { status } = spawnSync(tsc, ["-b", ...process.argv.slice(2)], { stdio: "inherit" })
process.exitCode = status ?? 1
