package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"offhook/admin"
)

// version is set by the linker, see the Makefile.
var version = "dev"

// Exit codes, documented in the README.
const (
	exitOK    = 0
	exitError = 1 // the command failed
	exitUsage = 2 // the command line or the configuration file is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], std{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// std are the standard streams, so that tests can have their own.
type std struct {
	in       io.Reader
	out, err io.Writer
}

// cli is the command line. Every flag is also OFFHOOK_<NAME> in the environment and a key of the configuration file; the
// flag wins over the environment, and that over the file.
type cli struct {
	Config  string           `help:"Configuration file; ./offhook.toml is read when it is there." type:"path" placeholder:"FILE"`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve    serveCmd    `cmd:"" help:"Serve phones and the admin API."`
	Identify identifyCmd `cmd:"" help:"Say which phone each request on standard input came from."`
	Families familiesCmd `cmd:"" help:"List makers, models and files, and where each comes from."`
	Check    checkCmd    `cmd:"" help:"Check a directory of phone templates."`

	Backup     backupCmd     `cmd:"" help:"Write everything that a running server keeps into a file."`
	Restore    restoreCmd    `cmd:"" help:"Fill an empty data directory from a backup."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

// run parses args and runs the command they name; it returns the exit code.
func run(ctx context.Context, args []string, s std) int {
	var c cli
	exit := -1
	ops, err := operations(admin.OpenAPI())
	if err != nil {
		fmt.Fprintln(s.err, "offhook:", err)
		return exitError
	}
	parser, err := kong.New(&c, append(nouns(ops),
		kong.Name("offhook"),
		kong.Description("Offhook turns a boxed desk phone into somebody's working extension."),
		kong.Vars{"version": version},
		kong.DefaultEnvars("OFFHOOK"),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
		kong.Resolvers(fileResolver(configFile(args))),
	)...)
	if err != nil {
		fmt.Fprintln(s.err, "offhook:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help and --version have answered
		return exit
	}
	if err != nil {
		fmt.Fprintln(s.err, "offhook:", err)
		return exitUsage
	}
	err = command.Run()
	var own exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitError
	case errors.As(err, &own):
		fmt.Fprintln(s.err, "offhook:", err)
		return own.code
	}
	fmt.Fprintln(s.err, "offhook:", err)
	return exitError
}

// nouns makes a command for each noun of the API.
func nouns(ops []operation) []kong.Option {
	var out []kong.Option
	for i := 0; i < len(ops); {
		end := i
		for end < len(ops) && ops[end].noun == ops[i].noun {
			end++
		}
		noun := &nounCmd{noun: ops[i].noun, ops: ops[i:end]}
		out = append(out, kong.DynamicCommand(noun.noun, strings.Join(noun.verbs(), ", ")+".", "The API", noun))
		i = end
	}
	return out
}

// misused marks an error of the command line or the configuration.
func misused(err error) error { return exitCode{exitUsage, err} }

// errReported ends a command whose findings are printed already.
var errReported = errors.New("reported")

func newLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
