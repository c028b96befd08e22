// Runs a bundle once (`node tools/compile.mjs FILE ARGS`) and keeps the code that V8 has of it by then in FILE.code, for
// `apps/bridge/src/start.ts`.
import { readFileSync, writeFileSync } from "node:fs"
import Module, { createRequire } from "node:module"
import { dirname } from "node:path"
import { Script } from "node:vm"

const [filename] = process.argv.splice(2, 1)
const script = new Script(Module.wrap(readFileSync(filename, "utf8")), { filename })
process.once("exit", () => writeFileSync(`${filename}.code`, script.createCachedData()))
const module = { exports: {} }
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename))
