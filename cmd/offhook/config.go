package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/pelletier/go-toml/v2"
)

const defaultConfig = "offhook.toml"

// configFile finds the configuration file before the flags are parsed, because the file feeds them. An explicit one must
// exist.
func configFile(args []string) (path string, explicit bool) {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			return v, true
		}
		if a == "--config" && i+1 < len(args) {
			return args[i+1], true
		}
	}
	if v := os.Getenv("OFFHOOK_CONFIG"); v != "" {
		return v, true
	}
	return defaultConfig, false
}

// fileResolver gives kong the values of the configuration file: one table of flag names without dashes before them.
func fileResolver(path string, explicit bool) kong.Resolver {
	values, err := readConfig(path, explicit)
	r := &resolver{values: values, err: err, path: path}
	return r
}

type resolver struct {
	values map[string]any
	err    error
	path   string
}

// Validate reports a file that cannot be read, and keys that are no flag of any command.
func (r *resolver) Validate(app *kong.Application) error {
	if r.err != nil {
		return r.err
	}
	known := map[string]bool{}
	_ = kong.Visit(app, func(n kong.Visitable, next kong.Next) error {
		if f, ok := n.(*kong.Flag); ok {
			known[f.Name] = true
		}
		return next(nil)
	})
	for key := range r.values {
		if !known[key] {
			return fmt.Errorf("%s: %q is not a setting; see offhook serve --help for the names", r.path, key)
		}
	}
	return nil
}

// Resolve answers one flag.
func (r *resolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	v, ok := r.values[flag.Name]
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set { // kong would let the file win over the environment
			ok = false
		}
	}
	if !ok {
		return nil, nil
	}
	if list, ok := v.([]any); ok {
		var parts []string
		for _, e := range list {
			parts = append(parts, fmt.Sprint(e))
		}
		return strings.Join(parts, ","), nil
	}
	return fmt.Sprint(v), nil
}

func readConfig(path string, explicit bool) (map[string]any, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	var values map[string]any
	if err := toml.Unmarshal(raw, &values); err != nil {
		var d *toml.DecodeError
		if errors.As(err, &d) {
			line, column := d.Position()
			return nil, fmt.Errorf("%s:%d:%d: %s", path, line, column, strings.TrimPrefix(d.Error(), "toml: "))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}
