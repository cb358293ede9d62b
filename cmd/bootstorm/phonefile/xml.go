package phonefile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// element is one XML element; text is its own, without its children's.
type element struct {
	name     string
	attrs    map[string]string
	text     string
	children []*element
}

const maxDepth = 64

// parseXML reads a whole document. Anything that is not well formed is an error: a phone drops the file.
func parseXML(raw []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(raw))
	top := &element{}
	stack := []*element{top}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil { // the decoder's own text would quote the file, which holds secrets
			line, column := dec.InputPos()
			return nil, fmt.Errorf("not well-formed XML at line %d, column %d", line, column)
		}
		last := stack[len(stack)-1]
		switch t := tok.(type) {
		case xml.StartElement:
			e := newElement(t)
			last.children = append(last.children, e)
			if stack = append(stack, e); len(stack) > maxDepth {
				return nil, errors.New("elements nested too deep")
			}
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			last.text += string(t)
		}
	}
	if len(top.children) != 1 || strings.TrimSpace(top.text) != "" {
		return nil, errors.New("not well-formed XML: one outermost element is needed")
	}
	return top.children[0], nil
}

func newElement(t xml.StartElement) *element {
	e := &element{name: t.Name.Local, attrs: map[string]string{}}
	for _, a := range t.Attr {
		e.attrs[a.Name.Local] = a.Value
	}
	return e
}

func (e *element) walk(visit func(*element)) {
	visit(e)
	for _, c := range e.children {
		c.walk(visit)
	}
}

func (f Format) checkRoot(root *element) error {
	if f.Root != "" && root.name != f.Root {
		return fmt.Errorf("outermost element is <%s>, the phone wants <%s>", root.name, f.Root)
	}
	return nil
}

func readAttributes(root *element) Settings {
	out := Settings{}
	root.walk(func(e *element) {
		for name, value := range e.attrs {
			out[name] = value
		}
	})
	return out
}

func (f Format) readText(root *element, mac string) (Settings, error) {
	out := Settings{}
	parts := root.children
	if f.Within == "" {
		parts = []*element{root}
	}
	for _, part := range parts {
		if f.MAC != "" && part.name == f.MAC && !strings.EqualFold(part.text, mac) {
			return nil, fmt.Errorf("<%s> names another phone", f.MAC)
		}
		if f.Within != "" && part.name != f.Within || part.attrs[f.WithinAttr] != f.WithinValue {
			continue
		}
		for _, e := range part.children {
			if index, ok := e.attrs[f.IndexAttr]; ok && f.IndexAttr != "" {
				out[e.name+"["+index+"]"] = e.text
				continue
			}
			out[e.name] = e.text
		}
	}
	return out, nil
}

// readTree names every text and attribute by the path to it.
func (f Format) readTree(root *element) Settings {
	out := Settings{}
	f.branch(out, root, "")
	return out
}

func (f Format) branch(out Settings, e *element, path string) {
	for name, value := range e.attrs {
		out[path+"@"+name] = value
	}
	if value, ok := e.attrs[f.ValueAttr]; ok && f.ValueAttr != "" {
		out[path] = f.plain(value)
	} else if len(e.children) == 0 && path != "" {
		out[path] = strings.TrimSpace(e.text)
	}
	seen := map[string]int{}
	for _, c := range e.children {
		seen[c.name]++
		f.branch(out, c, strings.TrimPrefix(path+"/"+f.step(c, seen[c.name]), "/"))
	}
}

// plain takes a text out of its quotes and turns a hexadecimal number into a decimal one, where the format has these.
func (f Format) plain(value string) string {
	if !f.Quoted {
		return value
	}
	if text, err := f.unquote(value); err == nil {
		return text
	}
	if n, err := strconv.ParseUint(value, 0, 32); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return ""
}

// step is what an element, the nth of its name, is called in a path.
func (f Format) step(e *element, nth int) string {
	name := e.name
	if named, ok := e.attrs[f.NameAttr]; ok && f.NameAttr != "" {
		name = named
	}
	if index, ok := e.attrs[f.IndexAttr]; ok && f.IndexAttr != "" {
		return name + "[" + index + "]"
	}
	if slices.Contains(f.Counted, e.name) {
		return name + "[" + strconv.Itoa(nth) + "]"
	}
	return name
}

func (f Format) listElements(raw []byte) (Listing, error) {
	root, err := parseXML(raw)
	if err != nil {
		return Listing{}, err
	}
	var out Listing
	for _, e := range root.children {
		if url := e.attrs["url"]; e.name == "file" && url != "" {
			out.Files = append(out.Files, url)
		}
	}
	return out, f.checkRoot(root)
}

func (f Format) listAttributes(raw []byte, fill func(string) string) (Listing, error) {
	found, err := f.Read(raw, "")
	if err != nil {
		return Listing{}, err
	}
	out := Listing{
		Files:       f.Names(found.First(fill(f.Files)), fill),
		Optional:    f.Names(found.First(fill(f.Optional)), fill),
		Directories: map[string]string{},
	}
	if len(out.Files) == 0 {
		return out, fmt.Errorf("no attribute %s names a file", fill(f.Files))
	}
	for _, d := range f.Directories {
		if value := found[d]; value != "" {
			out.Directories[d] = strings.TrimSuffix(value, "/") + "/"
		}
	}
	return out, nil
}
