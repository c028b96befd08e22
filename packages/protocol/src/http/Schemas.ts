/** Shapes that the definitions of the API share. */
import * as Schema from "effect/Schema"

/** A JSON object whose members pass through unread. */
export const JsonObject = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** Adds what else a peer may send: kept where the value is kept, ignored where it is read. */
export const open = <F extends Schema.Struct.Fields>(fields: F) => Schema.Struct(fields, JsonObject)

/** May be left out or null. */
export const nullish = <A, I, R>(schema: Schema.Schema<A, I, R>) => Schema.optional(Schema.NullOr(schema))

/** A whole number in a query string, between `min` and `max`. */
export const QueryInt = (min: number, max: number) =>
  Schema.NumberFromString.pipe(Schema.int(), Schema.between(min, max)).annotations({
    jsonSchema: { type: "integer", minimum: min, maximum: max }
  })

/** Query of a list: its size, and where the last page ended. */
export const page = {
  limit: Schema.optional(QueryInt(1, 1000)),
  cursor: Schema.optional(Schema.String)
}
