package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// printAnswer shows what the API answered: as it came, or a list as a table and a thing as its fields.
func printAnswer(w io.Writer, answer []byte, asJSON bool) error {
	if len(answer) == 0 {
		return nil
	}
	var doc any
	if asJSON || json.Unmarshal(answer, &doc) != nil {
		_, err := w.Write(append(bytes.TrimRight(answer, "\n"), '\n'))
		return err
	}
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	thing, ok := doc.(map[string]any)
	items, isList := thing["items"].([]any)
	switch {
	case isList:
		printList(t, items)
		if next, more := thing["next_cursor"].(string); more {
			fmt.Fprintf(t, "more: cursor=%s\n", next)
		}
	case ok:
		printFields(t, "", thing)
	default:
		fmt.Fprintln(t, doc)
	}
	return t.Flush()
}

// columns are the scalar fields that a table shows, in this order; those that a noun does not have are left out.
var columns = [...]string{
	"id", "actor", "action", "resource", "name", "mac_address", "user_id", "extension_number", "aor", "display_name", "first_name", "last_name", "email", "setup_state", "maker", "model", "firmware",
	"number", "url", "line_id", "description", "scopes", "enabled", "target", "attempts", "last_error", "done", "total", "failed", "size", "uploaded_at",
	"device_type", "type", "kind", "accounts", "keys", "provisioning", "registration", "contact", "source", "transport", "user_agent", "expires_at",
	"at", "reason", "file", "peer", "count", "value", "layer", "path", "scope", "format", "last_seen_at", "times_seen", "state",
}

func printList(w io.Writer, items []any) {
	var shown []string
	for _, c := range columns {
		if slices.ContainsFunc(items, func(i any) bool { return cell(i, c) != "" }) {
			shown = append(shown, c)
		}
	}
	if len(shown) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	fmt.Fprintln(w, strings.ToUpper(strings.Join(shown, "\t")))
	for _, item := range items {
		row := make([]string, len(shown))
		for i, c := range shown {
			row[i] = cell(item, c)
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
}

// cell is one field of a row; of an object that has one, its state.
func cell(item any, column string) string {
	m, ok := item.(map[string]any)
	if !ok {
		return ""
	}
	switch v := m[column].(type) {
	case nil:
		return ""
	case []any:
		return joined(v)
	case map[string]any:
		if state, ok := v["state"].(string); ok {
			return state
		}
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// joined puts a list of plain values into one cell; one of things has no short form.
func joined(list []any) string {
	var parts []string
	for _, e := range list {
		switch e.(type) {
		case map[string]any, []any:
			return ""
		}
		parts = append(parts, fmt.Sprint(e))
	}
	return strings.Join(parts, ", ")
}

// printFields lists a thing's fields with dotted names.
func printFields(w io.Writer, prefix string, thing map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(thing)) {
		switch v := thing[name].(type) {
		case map[string]any:
			printFields(w, prefix+name+".", v)
		case []any:
			for i, e := range v {
				at := fmt.Sprintf("%s%s[%d]", prefix, name, i)
				if m, ok := e.(map[string]any); ok {
					printFields(w, at+".", m)
				} else {
					fmt.Fprintf(w, "%s\t%v\n", at, e)
				}
			}
		case nil:
			fmt.Fprintf(w, "%s%s\t-\n", prefix, name)
		default:
			fmt.Fprintf(w, "%s%s\t%v\n", prefix, name, v)
		}
	}
}
