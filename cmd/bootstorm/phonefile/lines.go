package phonefile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// lines returns the lines after the header, each trimmed, without comments and empty ones, once the file's frame is what
// the phone wants.
func (f Format) lines(raw []byte) ([]string, error) {
	text := string(raw)
	if f.CRLF && strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		return nil, errors.New("a line does not end with CR LF")
	}
	all := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if f.Header != "" && all[0] != f.Header {
		return nil, fmt.Errorf("first line must be exactly %q", f.Header)
	}
	if f.LastEmpty && (len(all) < 2 || all[len(all)-1] != "" || all[len(all)-2] != "") {
		return nil, errors.New("the file does not end with an empty line")
	}
	var out []string
	for i, line := range all {
		if f.MaxLine > 0 && len(line) > f.MaxLine {
			return nil, fmt.Errorf("line %d is longer than %d bytes", i+1, f.MaxLine)
		}
		if line = strings.TrimSpace(line); line != "" && !f.comment(line) && (i > 0 || f.Header == "") {
			out = append(out, line)
		}
	}
	if f.Footer == "" {
		return out, nil
	}
	if len(out) == 0 || out[len(out)-1] != f.Footer {
		return nil, fmt.Errorf("last line must be exactly %q", f.Footer)
	}
	return out[:len(out)-1], nil
}

func (f Format) comment(line string) bool {
	if len(f.Comments) == 0 {
		return line[0] == '#'
	}
	return slices.ContainsFunc(f.Comments, func(c string) bool { return strings.HasPrefix(line, c) })
}

func (f Format) readINI(raw []byte) (Settings, error) {
	lines, err := f.lines(raw)
	if err != nil {
		return nil, err
	}
	out, section := Settings{}, ""
	for _, line := range lines {
		if name, ok := f.section(line); ok {
			section = name + "/"
			continue
		}
		key, value, ok := strings.Cut(strings.TrimLeft(line, f.Prefixes), f.separator())
		if !ok && f.Statements {
			continue
		}
		if !ok {
			return nil, errNoPair
		}
		if value, err = f.unquote(strings.TrimSpace(value)); err != nil {
			return nil, err
		}
		switch key = section + strings.TrimSpace(key); value {
		case "": // leaves the setting as it is
		case f.Clear:
			out[key] = ""
		default:
			out[key] = value
		}
	}
	return out, nil
}

func (f Format) separator() string {
	if f.Separator == "" {
		return "="
	}
	return f.Separator
}

func (f Format) section(line string) (string, bool) {
	if len(f.Sections) != 2 || line[0] != f.Sections[0] || line[len(line)-1] != f.Sections[1] {
		return "", false
	}
	return strings.TrimSpace(line[1 : len(line)-1]), true
}

func (f Format) unquote(value string) (string, error) {
	if f.Unquote && len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1], nil
	}
	if !f.Quoted {
		return value, nil
	}
	text, behind, closed := strings.Cut(strings.TrimPrefix(value, `"`), `"`)
	if value == "" || value[0] != '"' || !closed || behind != "" {
		return "", errors.New("a value does not stand in double quotes")
	}
	return text, nil
}

// readSet reads SET name value; a value with blanks stands in double quotes. Conditions and labels are not followed.
func (f Format) readSet(raw []byte) (Settings, error) {
	lines, err := f.lines(raw)
	out := Settings{}
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		if word != "SET" {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimSpace(rest), " ")
		if value = strings.TrimSpace(value); !ok || value == "" {
			return nil, errors.New("a SET line has no value")
		}
		if value[0] == '"' {
			end := strings.IndexByte(value[1:], '"')
			if end < 0 {
				return nil, errors.New("the quotes of a value are not closed")
			}
			value = value[1 : 1+end]
		} else {
			value, _, _ = strings.Cut(value, " ")
		}
		out[name] = value
	}
	return out, err
}

func (f Format) listIncludes(raw []byte) (Listing, error) {
	lines, err := f.lines(raw)
	var out Listing
	for _, line := range lines {
		if file, ok := strings.CutPrefix(line, "include:config"); ok {
			out.Files = append(out.Files, strings.Trim(strings.TrimSpace(file), `"`))
		}
	}
	return out, err
}

// listGets reads the GET lines; of all of them the phone follows the last that it comes to, so the rest are optional.
func (f Format) listGets(raw []byte, fill func(string) string) (Listing, error) {
	lines, err := f.lines(raw)
	var out Listing
	for _, line := range lines {
		if file, ok := strings.CutPrefix(line, "GET "); ok {
			out.Files = append(out.Files, f.Names(file, fill)...)
		}
	}
	return out, err
}

// readAddresses reads "Name" <sip:user@host;transport=tls>;parameter=value;parameter="value", one address a line.
func (f Format) readAddresses(raw []byte) (Settings, error) {
	lines, err := f.lines(raw)
	out := Settings{}
	for i, line := range lines {
		end := strings.LastIndexByte(line, '>')
		start := strings.LastIndexByte(line[:max(end, 0)], '<')
		if start < 0 {
			return nil, errors.New("a line holds no address in < >")
		}
		key := func(name string) string { return fmt.Sprintf("[%d]%s", i+1, name) }
		address, params, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line[start+1:end], "sips:"), "sip:"), ";")
		out[key("address")], out[key("name")] = address, strings.Trim(strings.TrimSpace(line[:start]), `"`)
		if _, host, ok := strings.Cut(address, "@"); ok {
			out[key("host")] = host
		}
		for param := range strings.SplitSeq(params, ";") {
			if name, value, ok := strings.Cut(param, "="); ok {
				out[key("uri_"+name)] = value
			}
		}
		for name, value := range parameters(line[end+1:]) {
			out[key(name)] = value
		}
	}
	return out, err
}

// parameters reads ;name=value;name="value"; a semicolon inside quotes ends nothing.
func parameters(text string) map[string]string {
	out := map[string]string{}
	for text != "" {
		text = strings.TrimLeft(text, "; ")
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			break
		}
		value := rest
		if strings.HasPrefix(rest, `"`) {
			value, text, _ = strings.Cut(rest[1:], `"`)
		} else {
			value, text, _ = strings.Cut(rest, ";")
		}
		out[strings.TrimSpace(name)] = value
	}
	return out
}
