/** JSON objects that are stored as their text. */
import { JsonObject } from "@causeway/protocol/http/Schemas"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

const decode = Schema.decodeUnknownEither(Schema.parseJson(JsonObject))

/** The object; an empty one where the text, which this hub wrote, is none. */
export const objectOf = (text: string): typeof JsonObject.Type => Either.getOrElse(decode(text), () => ({}))
