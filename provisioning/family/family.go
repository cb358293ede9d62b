// Package family knows what each maker's phones ask for, how they say who they are, and what they get.
//
// A family is data: templates/<maker>/family.toml and the templates beside it. Nothing in Go names a maker. A
// Catalog is immutable; Live swaps one for another when a directory of overrides is read again.
package family
