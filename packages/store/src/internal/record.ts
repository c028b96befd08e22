/** Rows as records: names in camel case, `undefined` for NULL. */

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name

type Present<Value> = Value extends null ? undefined : Value

export type RecordOf<Row> = {
  readonly [Column in keyof Row & string as CamelCase<Column>]: Present<Row[Column]>
}

const camelCase = (name: string): string =>
  name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

export const recordOf = <Row extends object>(row: Row): RecordOf<Row> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [camelCase(name), value ?? undefined])
  ) as RecordOf<Row>
