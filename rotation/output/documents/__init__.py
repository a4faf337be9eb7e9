"""The JSON documents that commands print, as types; rotation/schemas and docs/reference/json.md are made of them."""
