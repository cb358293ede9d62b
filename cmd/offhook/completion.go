package main

import (
	"fmt"
	"strings"

	"offhook/admin"
)

// completionCmd is `offhook completion SHELL`.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that completes commands and verbs. The words come from the API's description, so a new operation
// completes without a change here.
func (c *completionCmd) Run(s std) error {
	ops, err := operations(admin.OpenAPI())
	if err != nil {
		return err
	}
	commands := []string{"serve", "identify", "families", "check", "backup", "restore", "completion"}
	verbs := map[string][]string{}
	var nouns []string
	for _, o := range ops {
		if verbs[o.noun] == nil {
			nouns = append(nouns, o.noun)
		}
		verbs[o.noun] = append(verbs[o.noun], o.verb)
	}
	commands = append(commands, nouns...)
	if c.Shell == "fish" {
		fmt.Fprintf(s.out, "complete -c offhook -f -n __fish_use_subcommand -a '%s'\n", strings.Join(commands, " "))
		for _, n := range nouns {
			fmt.Fprintf(s.out, "complete -c offhook -f -n '__fish_seen_subcommand_from %s' -a '%s'\n", n, strings.Join(verbs[n], " "))
		}
		return nil
	}
	if c.Shell == "zsh" {
		fmt.Fprintln(s.out, "autoload -U +X bashcompinit && bashcompinit")
	}
	fmt.Fprintln(s.out, "_offhook() {\n  local words=\"\"\n  if [ \"$COMP_CWORD\" = 1 ]; then words=\""+strings.Join(commands, " ")+"\"; fi")
	fmt.Fprintln(s.out, "  if [ \"$COMP_CWORD\" = 2 ]; then case \"${COMP_WORDS[1]}\" in")
	for _, n := range nouns {
		fmt.Fprintf(s.out, "    %s) words=\"%s\" ;;\n", n, strings.Join(verbs[n], " "))
	}
	fmt.Fprintln(s.out, "  esac; fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _offhook offhook")
	return nil
}
