package family

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// visitFunc is called at the start of every branch of an instrumented template.
const visitFunc = "_visit"

// Untaken lists the branches of f's templates ("maker/files/x.tmpl:12") that no fixture of any model takes: what
// stands in them has never been rendered. A list that is empty says that the fixtures reach everything.
func (f *Family) Untaken() ([]string, error) {
	cover := coverage{family: f, visits: map[int]bool{}}
	root := template.New("").Option("missingkey=error").Funcs(functions).Funcs(f.tables.funcs()).Funcs(template.FuncMap{
		printFunc: printer(formatText, false),
		visitFunc: func(n int) string { cover.visits[n] = true; return "" },
	})
	for name, tree := range f.set.trees {
		if _, err := root.AddParseTree(name, cover.instrument(tree.Copy())); err != nil {
			return nil, fmt.Errorf("instrument %s: %w", name, err)
		}
	}
	for _, m := range append([]Model{{}}, f.Models...) {
		for _, fx := range trials(f, m) {
			if err := cover.run(root, m, fx); err != nil {
				return nil, err
			}
		}
	}
	return cover.untaken(), nil
}

type coverage struct {
	family *Family
	places []string // of branch n
	visits map[int]bool
}

// instrument puts a call to visitFunc in front of every branch of the tree.
func (c *coverage) instrument(tree *parse.Tree) *parse.Tree {
	eachList(tree.Root, func(list *parse.ListNode, branch bool) {
		if !branch {
			return
		}
		n := len(c.places)
		before := c.family.set.sources[tree.ParseName][:int(list.Pos)]
		c.places = append(c.places, fmt.Sprintf("%s:%d", tree.ParseName, 1+strings.Count(before, "\n")))
		call := &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{
			parse.NewIdentifier(visitFunc).SetTree(tree),
			&parse.NumberNode{NodeType: parse.NodeNumber, IsInt: true, Int64: int64(n), Text: strconv.Itoa(n)},
		}}
		visit := &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Cmds: []*parse.CommandNode{call}}}
		list.Nodes = slices.Insert(list.Nodes, 0, parse.Node(visit))
	})
	return tree
}

func (c *coverage) run(root *template.Template, m Model, fx Fixture) error {
	for _, named := range c.family.FilesOf(m, fx.Phone.MAC) {
		if err := root.ExecuteTemplate(io.Discard, named.File.Template, dataFor(named.File, fx.Phone)); err != nil {
			return fmt.Errorf("%s for model %q, case %s: %w", named.Path, m.ID, fx.Case, err)
		}
	}
	return nil
}

func (c *coverage) untaken() []string {
	var out []string
	for n, place := range c.places {
		if !c.visits[n] {
			out = append(out, place)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
