package family

import (
	"reflect"
	"slices"
	"strings"
	"text/template/parse"
)

// call gives the type of a function's result and checks its arguments.
func (c *fieldChecker) call(id *parse.IdentifierNode, nodes []parse.Node, args []reflect.Type) reflect.Type {
	if _, ok := builtins[id.Ident]; ok {
		return c.builtin(id, args)
	}
	fn, ok := functions[id.Ident]
	if !ok {
		fn = tables{}.funcs()[id.Ident]
	}
	t := reflect.TypeOf(fn)
	if id.Ident == "fits" {
		c.fits = true
	} else {
		c.refuseSecrets(id, args)
	}
	c.count(id, t, len(args))
	for i, a := range args {
		if p := parameter(t, i); p != nil && !passes(a, p) {
			c.fault(id, "argument %d of %s is a %s where a %s is wanted", i+1, id.Ident, a, p)
		}
	}
	if id.Ident == "lookup" || id.Ident == "known" {
		c.table(id, nodes)
	}
	if id.Ident == "default" && len(args) == 2 {
		return args[1]
	}
	if out := t.Out(0); out.Kind() != reflect.Interface {
		return out
	}
	return nil
}

// table checks that the manifest has the table that is read.
func (c *fieldChecker) table(id *parse.IdentifierNode, nodes []parse.Node) {
	if len(nodes) == 0 {
		return
	}
	if s, ok := nodes[0].(*parse.StringNode); ok && c.tables[s.Text] == nil {
		c.fault(id, "the manifest has no [table.%s]", s.Text)
	}
}

// refuseSecrets keeps secrets out of functions: printf and its like would write ***, the others fail when run.
func (c *fieldChecker) refuseSecrets(id *parse.IdentifierNode, args []reflect.Type) bool {
	if !slices.Contains(args, typeSecret) {
		return false
	}
	c.fault(id, "a secret cannot go into %s: print it with an action of its own, like {{.Password}}, and ask with {{if .Password}} whether it is set", id.Ident)
	return true
}

func (c *fieldChecker) count(id *parse.IdentifierNode, t reflect.Type, got int) {
	want := t.NumIn()
	switch {
	case t.IsVariadic() && got < want-1:
		c.fault(id, "%s wants at least %d arguments, not %d", id.Ident, want-1, got)
	case !t.IsVariadic() && got != want:
		c.fault(id, "%s wants %d arguments, not %d", id.Ident, want, got)
	}
}

// parameter is the type of parameter i of a function; nil when it takes anything or there is none.
func parameter(fn reflect.Type, i int) reflect.Type {
	var p reflect.Type
	switch last := fn.NumIn() - 1; {
	case fn.IsVariadic() && i >= last:
		p = fn.In(last).Elem()
	case i <= last:
		p = fn.In(i)
	}
	if p != nil && p.Kind() == reflect.Interface {
		return nil
	}
	return p
}

// passes says whether text/template would pass a value of type a as parameter p; it follows pointers.
func passes(a, p reflect.Type) bool {
	return a == nil || a.AssignableTo(p) || a.Kind() == reflect.Pointer && a.Elem().AssignableTo(p)
}

// builtin gives the type of what one of text/template's own functions returns.
func (c *fieldChecker) builtin(id *parse.IdentifierNode, args []reflect.Type) reflect.Type {
	switch id.Ident {
	case "and", "or":
		return union(args)
	case "not":
		return typeBool
	case "eq", "ne", "lt", "le", "gt", "ge":
		if c.refuseSecrets(id, args) {
			return typeBool
		}
		c.comparison(id, args)
		return typeBool
	case "len":
		c.refuseSecrets(id, args)
		return typeInt
	case "index", "slice":
		return c.element(id, args)
	}
	c.refuseSecrets(id, args)
	return typeString
}

// union is the type of a value that is one of several: theirs when they agree. A secret among them counts as one.
func union(args []reflect.Type) reflect.Type {
	for _, a := range args {
		if a == typeSecret {
			return typeSecret
		}
	}
	for _, a := range args {
		if a != args[0] {
			return nil
		}
	}
	if len(args) == 0 {
		return nil
	}
	return args[0]
}

func (c *fieldChecker) element(id *parse.IdentifierNode, args []reflect.Type) reflect.Type {
	if len(args) == 0 || args[0] == nil {
		return nil
	}
	switch t := args[0]; {
	case strings.HasPrefix(id.Ident, "slice"):
		c.refuseSecrets(id, args)
		return t
	case t.Kind() == reflect.Slice:
		return t.Elem()
	default:
		c.fault(id, "index of a %s: it takes a list", t)
		return nil
	}
}

// comparison checks that values of one kind are compared; text/template refuses others, but only when it gets there.
func (c *fieldChecker) comparison(id *parse.IdentifierNode, args []reflect.Type) {
	for _, a := range args {
		switch {
		case a == nil:
			return
		case a.Kind() == reflect.Pointer:
			c.fault(id, "%s cannot compare a %s: ask with {{if}} whether it is set, and with {{on}} for a flag's value", id.Ident, a)
			return
		case a.Kind() != args[0].Kind():
			c.fault(id, "%s compares a %s with a %s, which are never the same", id.Ident, args[0], a)
			return
		}
	}
}
