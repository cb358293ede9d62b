package admin

import _ "embed"

//go:embed openapi.json
var openAPI string

// OpenAPI is the committed description of the API, OpenAPI 3.1 in JSON: what /openapi.json answers. The command line takes
// its commands from it.
func OpenAPI() string { return openAPI }
