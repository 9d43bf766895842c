"""The codes of problems with requests that never reach Django."""

EARLY_CODES = {
    400: "BadRequest",
    408: "RequestTimeout",
    413: "BodyTooLarge",
    414: "AddressTooLong",
    417: "ExpectationFailed",
    431: "HeadersTooLarge",
    501: "UnsupportedTransferCoding",
    503: "Overloaded",
}
