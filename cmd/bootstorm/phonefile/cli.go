package phonefile

import (
	"fmt"
	"strings"
)

// readCLI runs the commands that matter: users with their passwords, and identities with what registers them. Deeper
// indentation is inside the context that the line before opened.
func (f Format) readCLI(raw []byte) (Settings, error) {
	lines := strings.Split(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n")
	if f.Header != "" && lines[0] != f.Header {
		return nil, fmt.Errorf("first line must be exactly %q", f.Header)
	}
	out, passwords := Settings{}, map[string]string{}
	domain, identities := "", 0
	var contexts []context
	for _, line := range lines {
		words := cliWords(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		depth := len(line) - len(strings.TrimLeft(line, " "))
		for len(contexts) > 0 && contexts[len(contexts)-1].depth >= depth {
			contexts = contexts[:len(contexts)-1]
		}
		contexts = append(contexts, context{depth, words[0]})
		key := func(name string) string { return fmt.Sprintf("[%d]%s", identities, name) }
		switch path := names(contexts); {
		case path == "authentication-service/username" && len(words) == 4 && words[2] == "password":
			passwords[words[1]] = words[3]
		case path == "location-service/domain" && len(words) > 1:
			domain = words[1]
		case path == "location-service/identity" && len(words) == 2:
			identities++
			out[key("user")], out[key("domain")] = words[1], domain
		case strings.HasSuffix(path, "/authentication/authenticate") && len(words) > 2 && words[len(words)-2] == "username":
			out[key("auth")] = words[len(words)-1]
		case strings.HasPrefix(path, "location-service/identity/registration/") && len(words) > 1:
			out[key(words[0])] = strings.Join(words[1:], ":")
		}
	}
	for n := 1; n <= identities; n++ {
		out[fmt.Sprintf("[%d]password", n)] = passwords[out[fmt.Sprintf("[%d]auth", n)]]
	}
	return out, nil
}

type context struct {
	depth   int
	command string
}

func names(contexts []context) string {
	var out []string
	for _, c := range contexts {
		out = append(out, c.command)
	}
	return strings.Join(out, "/")
}

// cliWords splits a line at blanks; a word in double quotes may hold them, and a backslash takes the next character as it is.
func cliWords(line string) []string {
	var out []string
	var word strings.Builder
	quoted, open, escaped := false, false, false
	end := func() {
		if open {
			out = append(out, word.String())
		}
		word.Reset()
		open = false
	}
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quoted:
			escaped = true
		case r == '"':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			end()
		default:
			word.WriteRune(r)
			open = true
		}
	}
	end()
	return out
}
