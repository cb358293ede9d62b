package family

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// problem is one mistake in a manifest or a template, at its place. Text says what is wrong and what would be right.
type problem struct {
	file      string
	line, col int
	text      string
}

// Error gives file:line:col: text, which editors and terminals turn into a link.
func (p problem) Error() string {
	if p.line == 0 {
		return p.file + ": " + p.text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.file, p.line, p.col, p.text)
}

// byPlace orders problems the way one reads a file.
func byPlace(a, b problem) int {
	return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line), cmp.Compare(a.col, b.col))
}

// positions finds the place of a value by its path: "identify[2].agent", "oui[0]", "table.language.de". The document is
// walked when the first place is asked for, which is never where nothing is wrong.
type positions struct {
	data  []byte
	found map[string]unstable.Position
}

// at finds the place of path, or of the nearest thing around it that is written in the file.
func (p *positions) at(path string) unstable.Position {
	if p.found == nil {
		p.found = locate(p.data)
	}
	for path != "" {
		if pos, ok := p.found[path]; ok {
			return pos
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return unstable.Position{Line: 1, Column: 1}
}

// decode reads a manifest strictly: a key that Manifest does not declare is a problem at its place.
func decode(file string, data []byte) (Manifest, *positions, []problem) {
	var m Manifest
	dec := toml.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, nil, decodeProblems(file, err)
	}
	return m, &positions{data: data}, nil
}

func decodeProblems(file string, err error) []problem {
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var out []problem
		for _, e := range strict.Errors {
			out = append(out, decodeProblem(file, &e, "unknown key "+strconv.Quote(strings.Join(e.Key(), "."))+
				": write one that templates/README.md lists, or remove it"))
		}
		return out
	}
	if de, ok := errors.AsType[*toml.DecodeError](err); ok {
		text := strings.TrimPrefix(de.Error(), "toml: ")
		return []problem{decodeProblem(file, de, wrongType.ReplaceAllString(text, "this is a TOML $1 where a $2 is wanted"))}
	}
	return []problem{{file: file, line: 1, col: 1, text: err.Error()}}
}

// wrongType is how the decoder says that a value is of the wrong type; it speaks of Go's structs, which the author of
// a manifest has never seen.
var wrongType = regexp.MustCompile(`^cannot decode TOML (\w+) into (?:struct field \S+|a Go value) of type (\S+)$`)

func decodeProblem(file string, e *toml.DecodeError, text string) problem {
	line, col := e.Position()
	return problem{file: file, line: line, col: col, text: text}
}

// locate walks the syntax of a document that has already been decoded, so it cannot fail half-way.
func locate(data []byte) map[string]unstable.Position {
	l := locator{at: map[string]unstable.Position{}, rows: map[string]int{}}
	l.parser.Reset(data)
	for l.parser.NextExpression() {
		l.expression(l.parser.Expression())
	}
	return l.at
}

type locator struct {
	parser unstable.Parser
	at     map[string]unstable.Position
	rows   map[string]int // array of tables -> rows so far
	table  string         // path of the table that key-values belong to
}

func (l *locator) expression(n *unstable.Node) {
	path, pos := l.key(n)
	switch n.Kind {
	case unstable.Table:
		l.table = path
		l.at[path] = pos
	case unstable.ArrayTable:
		l.table = path + "[" + strconv.Itoa(l.rows[path]) + "]"
		l.rows[path]++
		l.at[l.table] = pos
	case unstable.KeyValue:
		l.value(join(l.table, path), pos, n.Value())
	}
}

// key gives the dotted path and the place of a node's key.
func (l *locator) key(n *unstable.Node) (string, unstable.Position) {
	var parts []string
	var pos unstable.Position
	for it := n.Key(); it.Next(); {
		if k := it.Node(); len(parts) == 0 {
			pos = l.parser.Shape(k.Raw).Start
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), pos
}

func (l *locator) value(path string, pos unstable.Position, v *unstable.Node) {
	if v.Raw.Length > 0 {
		pos = l.parser.Shape(v.Raw).Start
	}
	l.at[path] = pos
	switch v.Kind {
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			l.value(path+"["+strconv.Itoa(i)+"]", pos, it.Node())
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			sub, at := l.key(it.Node())
			l.value(join(path, sub), at, it.Node().Value())
		}
	}
}

func join(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// joined turns problems into one error, in reading order; nil when there are none.
func joined(ps []problem) error {
	slices.SortStableFunc(ps, byPlace)
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errors.Join(errs...)
}
