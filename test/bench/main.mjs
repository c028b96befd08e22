// Benchmarks: `npm run bench [name …]`. `append` compares the program with a plain one in the same run, on the same
// disk and the same cores, and prints the ratio: figures of different machines or different runs say little. `e2e` is one message's whole way. `page` measures
// the built page in Chromium.
const all = ["append", "e2e", "list", "page"]
const chosen = process.argv.slice(2)
for (const name of chosen.length === 0 ? all : chosen) {
  if (!all.includes(name)) {
    process.stderr.write(`no benchmark "${name}": there are ${all.join(", ")}\n`)
    process.exit(2)
  }
  const { run } = await import(`./${name}.mjs`)
  await run()
}
