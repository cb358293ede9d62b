// Package templates holds the phones that Offhook knows, one folder a maker. It is data: nothing but the embedding is Go.
package templates

import "embed"

// FS is the embedded layer of the catalogue. all: keeps files whose name begins with an underscore.
//
//go:embed */family.toml all:*/files
var FS embed.FS
