// Package textdiff tells how two texts differ, line by line, in the unified format that diff -u writes.
package textdiff

import (
	"fmt"
	"strings"
)

// around is how many lines are shown on either side of a change.
const around = 3

// maxLines bounds the comparison, which takes the product of both lengths: beyond it everything between the first and the
// last difference counts as replaced.
const maxLines = 4_000

// edit is one line of the result: ' ' in both, '-' in the old text alone, '+' in the new one alone.
type edit struct {
	kind byte
	text string
}

// Unified returns the difference under the two names, "" when there is none.
func Unified(oldName, newName, oldText, newText string) string {
	if oldText == newText {
		return ""
	}
	edits := compare(lines(oldText), lines(newText))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", oldName, newName)
	for from := 0; ; {
		first, last := nextHunk(edits, from)
		if first < 0 {
			return b.String()
		}
		writeHunk(&b, edits, first, last)
		from = last
	}
}

// lines splits a text; a last line without its newline is told from one with it, as diff does.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if rest, whole := strings.CutSuffix(line, "\n"); whole {
			out = append(out, rest)
		} else {
			out = append(out, line+"\n\\ No newline at end of file")
		}
	}
	return out
}

// compare cuts off what both have in common at their ends and compares the rest.
func compare(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []edit
	for _, l := range a[:head] {
		out = append(out, edit{' ', l})
	}
	out = append(out, middle(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, l := range a[len(a)-tail:] {
		out = append(out, edit{' ', l})
	}
	return out
}

// middle finds the longest common subsequence: common[i][j] is its length for a[i:] and b[j:].
func middle(a, b []string) []edit {
	if len(a)+len(b) > maxLines {
		return replaced(a, b)
	}
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []edit
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	return append(out, replaced(a[i:], b[j:])...)
}

func replaced(a, b []string) []edit {
	var out []edit
	for _, l := range a {
		out = append(out, edit{'-', l})
	}
	for _, l := range b {
		out = append(out, edit{'+', l})
	}
	return out
}

// nextHunk returns the bounds of the next run of changes with what is around it, -1 when there is none. Changes that are
// close enough for their surroundings to meet are one.
func nextHunk(edits []edit, from int) (first, last int) {
	first = -1
	for i := from; i < len(edits); i++ {
		if edits[i].kind == ' ' {
			continue
		}
		if first < 0 {
			first = max(i-around, from)
		} else if i-last > around {
			break
		}
		last = min(i+1+around, len(edits))
	}
	return first, last
}

func writeHunk(b *strings.Builder, edits []edit, first, last int) {
	oldAt, newAt := 1, 1
	for _, e := range edits[:first] {
		if e.kind != '+' {
			oldAt++
		}
		if e.kind != '-' {
			newAt++
		}
	}
	oldLen, newLen := 0, 0
	for _, e := range edits[first:last] {
		if e.kind != '+' {
			oldLen++
		}
		if e.kind != '-' {
			newLen++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", span(oldAt, oldLen), span(newAt, newLen))
	for _, e := range edits[first:last] {
		b.WriteByte(e.kind)
		b.WriteString(e.text)
		b.WriteByte('\n')
	}
}

// span writes a place as diff does: nothing at all stands behind the line before it.
func span(at, n int) string {
	if n == 0 {
		at--
	}
	return fmt.Sprintf("%d,%d", at, n)
}
