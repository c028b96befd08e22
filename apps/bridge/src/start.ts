#!/usr/bin/env node
/**
 * What `causeway` starts: it runs the program's bundle from code that V8 compiled when it was built (`tools/compile.mjs`), in
 * two thirds of the time that the text of 4 MB takes. Where Node is another than then, V8 refuses that code and takes the text.
 */
import { readFileSync } from "node:fs"
import Module, { createRequire } from "node:module"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { constants, Script } from "node:vm"

const filename = fileURLToPath(new URL("./program.cjs", import.meta.url))
const require = createRequire(filename)

const compiled = (): Buffer | undefined => {
  try {
    return readFileSync(`${filename}.code`)
  } catch {
    // Without it the text serves.
    return undefined
  }
}

// Node before 20.12 has no `import()` for such code.
const loader = constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER
const cachedData = loader === undefined ? undefined : compiled()
if (cachedData === undefined) require(filename)
else {
  const module = { exports: {} }
  new Script(Module.wrap(readFileSync(filename, "utf8")), {
    filename,
    cachedData,
    importModuleDynamically: loader
  }).runInThisContext()(module.exports, require, module, filename, dirname(filename))
}
