//go:build linux

package main

import (
	"cmp"
	"slices"
)

// percentile of sorted values, by nearest rank; the zero value when there are none.
func percentile[T cmp.Ordered](sorted []T, p int) T {
	var none T
	if len(sorted) == 0 {
		return none
	}
	return sorted[(len(sorted)*p+99)/100-1]
}

// median of values in any order, the lower one of two.
func median[T cmp.Ordered](values []T) T { return percentile(slices.Sorted(slices.Values(values)), 50) }
