/** Rows as records: names in camel case, `undefined` for NULL. */

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name

type Present<Value> = Value extends null ? undefined : Value

export type RecordOf<Row> = {
  readonly [Column in keyof Row & string as CamelCase<Column>]: Present<Row[Column]>
}

/** Names of columns in camel case: as many as the queries of this package select. */
const names = new Map<string, string>()

const camelCase = (name: string): string => {
  const known = names.get(name)
  if (known !== undefined) return known
  const made = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  names.set(name, made)
  return made
}

export const recordOf = <Row extends object>(row: Row): RecordOf<Row> => {
  const record: { [name: string]: unknown } = {}
  for (const [name, value] of Object.entries(row)) record[camelCase(name)] = value ?? undefined
  return record as RecordOf<Row>
}
