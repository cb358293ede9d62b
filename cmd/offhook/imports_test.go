package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "offhook"

// arrows is the picture of the house: which of our packages a package may import. cmd may import everything.
var arrows = map[string][]string{
	"admin/outbox":                    {"provisioning/fleet"},
	"admin/letter":                    {"provisioning/fleet"},
	"admin/outbox/smtptest":           nil,
	"admin/textdiff":                  nil,
	"admin":                           {"provisioning/fleet", "provisioning/family", "admin/letter", "admin/outbox", "admin/textdiff"},
	"provisioning":                    {"provisioning/fleet", "provisioning/family"},
	"sip":                             {"provisioning/fleet", "sip/digest", "sip/guard", "sip/location", "sip/outgoing", "sip/stun", "sip/transport", "sip/wire"},
	"sip/transport":                   {"sip/wire"},
	"sip/guard":                       {"sip/transport"},
	"sip/outgoing":                    {"sip/transport", "sip/wire"},
	"sip/stun":                        nil,
	"sip/digest":                      {"sip/wire"},
	"sip/location":                    {"provisioning/fleet", "provisioning/fleet/sightlog", "sip/digest", "sip/wire"},
	"sip/federation":                  {"sip/location"},
	"sip/wire":                        nil,
	"provisioning/fleet":              {"provisioning/fleet/sightlog"},
	"provisioning/fleet/boltjournal":  {"provisioning/fleet"},
	"provisioning/fleet/redisjournal": {"provisioning/fleet"},
	"provisioning/fleet/fleettest":    {"provisioning/fleet"},
	"provisioning/fleet/sightlog":     nil,
	"provisioning/family":             nil,
	"templates":                       nil,
	"cmd/offhook":                     {"admin", "provisioning", "provisioning/fleet", "provisioning/family", "provisioning/fleet/boltjournal", "provisioning/fleet/redisjournal", "sip", "sip/federation", "templates", "admin/outbox"},
	"cmd/bootstorm":                   {"cmd/bootstorm/phonefile"},
	"cmd/bootstorm/phonefile":         nil,
	"cmd/sipbench":                    {"provisioning/fleet", "provisioning/fleet/boltjournal"},
}

// direct is every module that the product may import. A new one needs a reason in its commit, and a line here.
var direct = []string{
	"github.com/pin/tftp/v3", "github.com/emiago/sipgo", "github.com/gorilla/mux", "github.com/redis/go-redis/v9",
	"github.com/hashicorp/go-memdb", "go.etcd.io/bbolt", "github.com/pelletier/go-toml/v2", "github.com/danielgtaylor/huma/v2",
	"github.com/wneessen/go-mail", // SMTP with STARTTLS, authentication and the encodings of headers: all of it protocol that is not ours
	"golang.org/x/text",           // Unicode normalisation of names (R10)
	"golang.org/x/crypto", "golang.org/x/sync", "golang.org/x/time", "golang.org/x/net", "github.com/prometheus/client_golang",
	"github.com/alecthomas/kong", "github.com/google/go-cmp",
}

type source struct {
	pkg, file string
	test      bool
	ast       *ast.File
	fset      *token.FileSet
}

// sources parses every Go file of the repository.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "data" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		out = append(out, source{pkg: path.Dir(filepath.ToSlash(rel)), file: filepath.ToSlash(rel), test: strings.HasSuffix(p, "_test.go"), ast: f, fset: fset})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("found %d Go files: the walk is broken", len(out))
	}
	return out
}

// TestImportPicture holds the code against the arrows of the house.
func TestImportPicture(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := arrows[s.pkg]
		if !known {
			t.Errorf("%s: package %s is no room of the house; add it to the picture with its arrows", s.file, s.pkg)
			continue
		}
		if s.test {
			continue // a test may stand the whole house up around its package
		}
		for _, imp := range s.ast.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if own, ours := strings.CutPrefix(p, module+"/"); ours && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s; package %s may import only %v", s.file, own, s.pkg, allowed)
			}
		}
	}
}

// TestDirectDependencies holds every import from outside against the list.
func TestDirectDependencies(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.ast.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
				continue // the standard library and our own
			}
			if !slices.ContainsFunc(direct, func(d string) bool { return p == d || strings.HasPrefix(p, d+"/") }) {
				t.Errorf("%s imports %s, which is not among the direct dependencies", s.file, p)
			}
		}
	}
}

// TestHouseStyle holds the sizes, and that nothing runs or panics behind a reader's back.
func TestHouseStyle(t *testing.T) {
	const maxFile, maxFunc = 600, 120
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if n := s.fset.Position(s.ast.End()).Line; n > maxFile {
			t.Errorf("%s has %d lines, at most %d", s.file, n, maxFile)
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
				if lines > maxFunc {
					t.Errorf("%s: %s has %d lines, at most %d", s.file, n.Name.Name, lines, maxFunc)
				}
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: init runs behind the reader's back; wire it in cmd/offhook", s.file)
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" {
					t.Errorf("%s: panic; return an error", s.fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

// TestPackageNames refuses the names that say nothing.
func TestPackageNames(t *testing.T) {
	for _, s := range sources(t) {
		if name := s.ast.Name.Name; slices.Contains([]string{"util", "utils", "common", "model", "models", "helper", "helpers", "misc"}, name) {
			t.Errorf("%s: package %s says nothing about what it holds", s.file, name)
		}
	}
}
