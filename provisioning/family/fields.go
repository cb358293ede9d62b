package family

import (
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"
)

// fields checks a template's field names and function arguments against the vocabulary's types, in every branch.
// text/template looks only at branches that are taken: a typing mistake under {{if .VLAN.ID}} would show at the
// first customer who has a VLAN.
type fieldChecker struct {
	set      templateSet
	tables   tables
	problems []problem
	seen     map[string]bool // template and type of its dot
	tree     *parse.Tree
	vars     []variable
	secret   bool // a Secret is printed
	revised  bool // Phone.Revision is named
	fits     bool // fits is called
	raw      bool // Phone.Extra is named
}

type variable struct {
	name string
	typ  reflect.Type
}

// A nil reflect.Type stands for "known only at run time" throughout this file.

var (
	typeSecret = reflect.TypeFor[Secret]()
	typeString = reflect.TypeFor[string]()
	typeInt    = reflect.TypeFor[int]()
	typeBool   = reflect.TypeFor[bool]()
	typeCommon = reflect.TypeFor[Common]()
	typePhone  = reflect.TypeFor[Phone]()
	typeBook   = reflect.TypeFor[Book]()
)

// notInPhone is the field of Phone that its own templates may not name.
const notInPhone = "Directory"

// check walks the template name as if it were executed with a value of type dot.
func (c *fieldChecker) check(name string, dot reflect.Type) {
	key := fmt.Sprint(name, " ", dot)
	tree := c.set.trees[name]
	if tree == nil || c.seen[key] {
		return
	}
	c.seen[key] = true
	outerTree, outerVars := c.tree, c.vars
	c.tree, c.vars = tree, []variable{{"$", dot}}
	c.list(tree.Root, dot)
	c.tree, c.vars = outerTree, outerVars
}

func (c *fieldChecker) fault(n parse.Node, format string, args ...any) {
	pos := min(int(n.Position()), len(c.set.sources[c.tree.ParseName]))
	before := c.set.sources[c.tree.ParseName][:pos]
	c.problems = append(c.problems, problem{
		file: c.tree.ParseName,
		line: 1 + strings.Count(before, "\n"),
		col:  pos - strings.LastIndexByte(before, '\n'),
		text: fmt.Sprintf(format, args...),
	})
}

func (c *fieldChecker) list(list *parse.ListNode, dot reflect.Type) {
	if list == nil {
		return
	}
	mark := len(c.vars)
	for _, n := range list.Nodes {
		c.node(n, dot)
	}
	c.vars = c.vars[:mark]
}

func (c *fieldChecker) node(n parse.Node, dot reflect.Type) {
	switch n := n.(type) {
	case *parse.ActionNode:
		t := c.pipe(n.Pipe, dot)
		if len(n.Pipe.Decl) == 0 {
			c.printed(n, t)
		}
	case *parse.IfNode:
		c.branch(&n.BranchNode, dot, false)
	case *parse.WithNode:
		c.branch(&n.BranchNode, dot, true)
	case *parse.RangeNode:
		c.loop(n, dot)
	case *parse.TemplateNode:
		if c.set.trees[n.Name] == nil {
			c.fault(n, "there is no template %q: name a file below files/ or a {{define}}", n.Name)
			return
		}
		c.check(n.Name, c.pipe(n.Pipe, dot))
	}
}

// printed checks what an action's pipeline puts into the file.
func (c *fieldChecker) printed(n parse.Node, t reflect.Type) {
	if t == nil {
		return
	}
	if t == typeSecret {
		c.secret = true
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
	default:
		c.fault(n, "a %s cannot be printed: pick one of its fields", t)
	}
}

func (c *fieldChecker) branch(b *parse.BranchNode, dot reflect.Type, rebind bool) {
	mark := len(c.vars)
	inner := dot
	t := c.pipe(b.Pipe, dot)
	if rebind {
		inner = t
	} else if t != nil && t.Kind() == reflect.Struct {
		c.fault(b, "%s is a struct, which is always true: ask for one of its fields, %s", t.Name(), fieldNames(t))
	}
	c.list(b.List, inner)
	c.list(b.ElseList, dot)
	c.vars = c.vars[:mark]
}

func (c *fieldChecker) loop(r *parse.RangeNode, dot reflect.Type) {
	mark := len(c.vars)
	decl := r.Pipe.Decl
	index, elem := typeInt, reflect.Type(nil)
	switch t := c.pipeType(r.Pipe, dot); {
	case t == nil:
		index = nil
	case t.Kind() == reflect.Slice:
		elem = t.Elem()
	case t == typeInt:
		elem = typeInt
	default:
		c.fault(r, "{{range}} over a %s: it takes a list or a number", t)
	}
	if len(decl) == 2 {
		c.vars = append(c.vars, variable{decl[0].Ident[0], index})
	}
	if len(decl) > 0 {
		c.vars = append(c.vars, variable{decl[len(decl)-1].Ident[0], elem})
	}
	c.list(r.List, elem)
	c.vars = c.vars[:mark]
	c.list(r.ElseList, dot)
}

// pipe gives the type of a pipeline and declares its variables.
func (c *fieldChecker) pipe(p *parse.PipeNode, dot reflect.Type) reflect.Type {
	if p == nil {
		return nil
	}
	t := c.pipeType(p, dot)
	for _, v := range p.Decl {
		c.declare(v.Ident[0], t, p.IsAssign)
	}
	return t
}

func (c *fieldChecker) declare(name string, t reflect.Type, assign bool) {
	for i := len(c.vars) - 1; assign && i >= 0; i-- {
		if c.vars[i].name == name {
			if c.vars[i].typ != t {
				c.vars[i].typ = nil
			}
			return
		}
	}
	c.vars = append(c.vars, variable{name, t})
}

func (c *fieldChecker) pipeType(p *parse.PipeNode, dot reflect.Type) reflect.Type {
	var t reflect.Type
	for i, cmd := range p.Cmds {
		t = c.command(cmd, dot, t, i > 0)
	}
	return t
}

// command gives the type of one command; piped says that final is the value of the command before it.
func (c *fieldChecker) command(cmd *parse.CommandNode, dot, final reflect.Type, piped bool) reflect.Type {
	if id, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
		args := make([]reflect.Type, 0, len(cmd.Args))
		for _, a := range cmd.Args[1:] {
			args = append(args, c.arg(a, dot))
		}
		if piped {
			args = append(args, final)
		}
		return c.call(id, cmd.Args[1:], args)
	}
	if piped || len(cmd.Args) > 1 {
		c.fault(cmd, "%s is not a function and takes no arguments", cmd.Args[0])
	}
	return c.arg(cmd.Args[0], dot)
}

func (c *fieldChecker) arg(n parse.Node, dot reflect.Type) reflect.Type {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return c.chain(n, dot, n.Ident)
	case *parse.VariableNode:
		return c.chain(n, c.variable(n.Ident[0]), n.Ident[1:])
	case *parse.ChainNode:
		return c.chain(n, c.arg(n.Node, dot), n.Field)
	case *parse.PipeNode:
		return c.pipe(n, dot)
	case *parse.StringNode:
		return typeString
	case *parse.BoolNode:
		return typeBool
	case *parse.NumberNode:
		if !n.IsInt {
			c.fault(n, "%s is not a whole number", n.Text)
		}
		return typeInt
	case *parse.IdentifierNode:
		return c.call(n, nil, nil)
	}
	return nil
}

func (c *fieldChecker) variable(name string) reflect.Type {
	for i := len(c.vars) - 1; i >= 0; i-- {
		if c.vars[i].name == name {
			return c.vars[i].typ
		}
	}
	return nil
}

// chain follows .A.B.C from t. Only fields count: methods (a Secret's String) would print what a file must not hold.
func (c *fieldChecker) chain(n parse.Node, t reflect.Type, names []string) reflect.Type {
	for _, name := range names {
		if t == nil {
			return nil
		}
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			c.fault(n, "%s has no field %s: it is a %s", n, name, t)
			return nil
		}
		if t == typePhone && name == notInPhone {
			c.fault(n, "Directory is for files of scope \"domain\", which name it .Contacts: a phone's own file would change with every user")
			return nil
		}
		f, ok := t.FieldByName(name)
		if !ok {
			c.noField(n, t, name)
			return nil
		}
		c.revised = c.revised || t == typePhone && name == "Revision"
		c.raw = c.raw || t == typePhone && name == "Extra"
		t = f.Type
	}
	return t
}

func (c *fieldChecker) noField(n parse.Node, t reflect.Type, name string) {
	if _, device := typePhone.FieldByName(name); device && t == typeCommon {
		c.fault(n, "%s is a device's own: a template of scope \"model\" sees only %s", name, fieldNames(t))
		return
	}
	c.fault(n, "%s has no field %s: it has %s", t.Name(), name, fieldNames(t))
}

func fieldNames(t reflect.Type) string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous && (t != typePhone || f.Name != notInPhone) {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}
