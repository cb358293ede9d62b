package family

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Scopes of a file: what its template sees.
const (
	scopeModel  = "model"  // Common, one file for every phone of a model
	scopeDevice = "device" // Phone
	scopeDomain = "domain" // Book, one file for every phone of a domain, given as device's files are
)

// Charsets of a file.
const (
	charsetUTF8   = "utf-8"
	charsetLatin1 = "iso-8859-1"
)

// printFunc is what the pipeline of every printing action ends in. Parsing does not know it, so no template can call it.
const printFunc = "_value"

// templateSet is a family's templates: parsed, hardened, and once for each format they are rendered in.
type templateSet struct {
	sources map[string]string      // path for messages -> text
	trees   map[string]*parse.Tree // name below files/, and names from {{define}}
	views   map[view]*template.Template
}

// view is one way of printing.
type view struct {
	format string
	masked bool
}

// parseSet parses the files of a family. files maps a name below files/ to its path for messages and its text.
func parseSet(files map[string]sourceFile) (templateSet, []problem) {
	set := templateSet{sources: map[string]string{}, trees: map[string]*parse.Tree{}, views: map[view]*template.Template{}}
	var ps []problem
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		set.sources[f.path] = f.text
		trees, err := parse.Parse(name, f.text, "", "", builtins, functions, tables{}.funcs())
		if err != nil {
			ps = append(ps, parseProblem(f.path, name, err))
			continue
		}
		for _, tree := range trees {
			tree.ParseName = f.path
			if old := set.trees[tree.Name]; old != nil {
				ps = append(ps, problem{file: f.path, line: 1, col: 1, text: fmt.Sprintf("template %q is already defined in %s: give one of them another name", tree.Name, old.ParseName)})
			}
			set.trees[tree.Name] = tree
		}
	}
	return set, ps
}

// parseProblem puts "template: NAME:LINE: what" into our form. text/template gives no column here.
func parseProblem(path, name string, err error) problem {
	p := problem{file: path, line: 1, col: 1, text: err.Error()}
	rest, ok := strings.CutPrefix(err.Error(), "template: "+name+":")
	if !ok {
		return p
	}
	if n, _ := fmt.Sscanf(rest, "%d", &p.line); n == 1 {
		_, p.text, _ = strings.Cut(rest, ": ")
	}
	return p
}

// harden appends the printer to every action that prints, in every tree. After this no value can reach a file
// unescaped, whatever the template's author forgot.
func (s *templateSet) harden() {
	for _, tree := range s.trees {
		eachAction(tree.Root, func(a *parse.ActionNode) {
			if len(a.Pipe.Decl) > 0 {
				return // an assignment prints nothing
			}
			name := parse.NewIdentifier(printFunc).SetPos(a.Pos).SetTree(tree)
			a.Pipe.Cmds = append(a.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: a.Pos, Args: []parse.Node{name}})
		})
	}
}

// eachAction calls visit for every action below n.
func eachAction(n parse.Node, visit func(*parse.ActionNode)) {
	eachList(n, func(list *parse.ListNode, _ bool) {
		for _, n := range list.Nodes {
			if a, ok := n.(*parse.ActionNode); ok {
				visit(a)
			}
		}
	})
}

// eachList calls visit for n and every list below it; branch is false for a template's whole body.
func eachList(n parse.Node, visit func(list *parse.ListNode, branch bool)) {
	eachListIn(n, false, visit)
}

func eachListIn(n parse.Node, branch bool, visit func(*parse.ListNode, bool)) {
	list, ok := n.(*parse.ListNode)
	if !ok || list == nil {
		return
	}
	for _, child := range slices.Clone(list.Nodes) {
		if b := branches(child); b != nil {
			eachListIn(b.List, true, visit)
			eachListIn(b.ElseList, true, visit)
		}
	}
	visit(list, branch)
}

// branches is the common part of {{if}}, {{with}} and {{range}}; nil for other nodes.
func branches(n parse.Node) *parse.BranchNode {
	switch n := n.(type) {
	case *parse.IfNode:
		return &n.BranchNode
	case *parse.WithNode:
		return &n.BranchNode
	case *parse.RangeNode:
		return &n.BranchNode
	}
	return nil
}

// build makes the executable templates for the formats that files use.
func (s *templateSet) build(files []File, t tables) error {
	root := template.New("").Option("missingkey=error").Funcs(functions).Funcs(t.funcs())
	for _, name := range slices.Sorted(maps.Keys(s.trees)) {
		if _, err := root.AddParseTree(name, s.trees[name]); err != nil {
			return fmt.Errorf("template %s: %w", name, err)
		}
	}
	for _, f := range files {
		for _, masked := range []bool{false, true} {
			v := view{f.Format, masked}
			if s.views[v] != nil || escapers[f.Format] == nil {
				continue
			}
			t, err := root.Clone()
			if err != nil {
				return fmt.Errorf("clone templates: %w", err)
			}
			s.views[v] = t.Funcs(template.FuncMap{printFunc: printer(f.Format, masked)})
		}
	}
	return nil
}

// ErrAbsent says that this phone has no such file: the file is optional, and its template has nothing for the phone.
var ErrAbsent = errors.New("the phone has no such file")

// Render fills the file's template in for one phone. A file of scope "model" is given p.Common alone. Errors name
// the template, line and field, never a value; ErrAbsent is none of them but an answer.
func (c *Catalog) Render(f *Family, file File, p Phone) ([]byte, error) {
	return f.render(file, p, false)
}

// RenderMasked is Render with every secret as ***, for people to look at.
func (c *Catalog) RenderMasked(f *Family, file File, p Phone) ([]byte, error) {
	return f.render(file, p, true)
}

func (f *Family) render(file File, p Phone, masked bool) ([]byte, error) {
	t := f.set.views[view{file.Format, masked}]
	if t == nil || t.Lookup(file.Template) == nil {
		return nil, fmt.Errorf("%s has no template %q for format %q", f.ID, file.Template, file.Format)
	}
	if err := f.CheckExtra(p.Extra); err != nil && file.Scope == scopeDevice {
		return nil, err
	}
	p.Revision = ""
	if file.revised {
		var err error
		if p.Revision, err = f.revisionOf(file, p); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, file.Template, dataFor(file, p)); err != nil {
		return nil, f.set.explain(err)
	}
	if file.Optional && len(bytes.TrimSpace(out.Bytes())) == 0 {
		return nil, ErrAbsent
	}
	return inCharset(lineEnds(out.Bytes(), file.EOL), file.Charset), nil
}

// revisionOf is a number for what the file says beside it, secrets included.
func (f *Family) revisionOf(file File, p Phone) (string, error) {
	h := fnv.New64a()
	if err := f.set.views[view{file.Format, false}].ExecuteTemplate(h, file.Template, dataFor(file, p)); err != nil {
		return "", f.set.explain(err)
	}
	return fmt.Sprintf("%012d", h.Sum64()%1_000_000_000_000), nil
}

// dataFor is what a file's template sees. This is where other scopes lose everything that is a device's own.
func dataFor(file File, p Phone) any {
	switch file.Scope {
	case scopeDevice:
		return p
	case scopeDomain:
		return p.Directory
	}
	return p.Common
}

// RenderBook fills in a file of scope "domain".
func (c *Catalog) RenderBook(f *Family, file File, b Book) ([]byte, error) {
	return f.render(file, Phone{Directory: b}, false)
}

var (
	execPlace   = regexp.MustCompile(`^(?:template: )?(.+?):(\d+):(\d+): (?s:(.*))$`)
	execFailure = regexp.MustCompile(`^executing ".*?" at <(.*)>: (?:error calling \w+: )?(?s:(.*))$`)
)

// explain puts an error of text/template into our form: file:line:col, the action as it is written, and what is
// wrong with it. The printer is ours and stands in no template, so its name is left out.
func (s *templateSet) explain(err error) error {
	at := execPlace.FindStringSubmatch(err.Error())
	if at == nil {
		return err
	}
	line, _ := strconv.Atoi(at[2])
	col, _ := strconv.Atoi(at[3])
	p := problem{file: at[1], line: line, col: col + 1, text: at[4]} // text/template counts columns from 0
	if failed := execFailure.FindStringSubmatch(p.text); failed != nil {
		action, text := failed[1], failed[2]
		if action == printFunc {
			action = s.action(p)
		}
		p.text = action + ": " + text
	}
	return p
}

// action is the text of the action that stands at a problem's place.
func (s *templateSet) action(p problem) string {
	lines := strings.Split(s.sources[p.file], "\n")
	if p.line > len(lines) {
		return "action"
	}
	line := lines[p.line-1]
	start := strings.LastIndex(line[:min(p.col, len(line))], "{{")
	if start < 0 {
		return "action"
	}
	text, _, _ := strings.Cut(line[start:], "}}")
	return text + "}}"
}

// CheckExtra says whether raw parameters have names that the maker's format can carry. A name is written as it
// stands, so this is what keeps it from becoming more than a name.
func (f *Family) CheckExtra(params []Param) error {
	for i, p := range params {
		if f.extra == nil {
			return fmt.Errorf("%s takes no raw parameters", f.Name)
		}
		if !f.extra.MatchString(p.Name) {
			return fmt.Errorf("raw parameter %d has a name that does not match %s", i+1, f.ExtraName)
		}
	}
	return nil
}

// inCharset writes text for phones that read one byte a character. What the charset lacks becomes a question mark.
func inCharset(text []byte, charset string) []byte {
	if charset != charsetLatin1 {
		return text
	}
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xff {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return out
}

func lineEnds(text []byte, eol string) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	if eol == "crlf" {
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	return text
}
