package ego_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	egoModule      = "github.com/actorkeep/ego"
	goaktModule    = "github.com/tochemey/goakt/v3"
	protobufModule = "google.golang.org/protobuf"
)

// leaves are the packages that a store or broker author builds on: they never bring GoAkt.
var leaves = []string{
	egoModule + "/egopb",
	egoModule + "/encryption",
	egoModule + "/eventadapter",
	egoModule + "/offsetstore",
	egoModule + "/persistence",
	egoModule + "/projection",
	egoModule + "/publisher",
}

// pinned are the third-party modules that the packages a user cannot do without import directly. A new one is a decision
// for every user of ego, so it takes a line here and, unless it is plain, a record in docs/adr.
var pinned = map[string][]string{
	egoModule: {
		goaktModule,
		"go.opentelemetry.io/otel/metric",
		"go.opentelemetry.io/otel/trace",
		protobufModule,
	},
	egoModule + "/egopb":        {protobufModule},
	egoModule + "/encryption":   {protobufModule},
	egoModule + "/eventadapter": {protobufModule},
	egoModule + "/offsetstore":  {protobufModule},
	egoModule + "/persistence":  {},
	egoModule + "/projection":   {protobufModule},
	egoModule + "/publisher":    {protobufModule},
	egoModule + "/testkit":      {protobufModule},
}

// pinnable are the packages that must have an entry in pinned once they exist. The testkit is one because it must work
// with the standard testing package alone.
var pinnable = append([]string{egoModule, egoModule + "/testkit"}, leaves...)

func TestImports(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)

	t.Run("LeavesKnowOnlyProtobufAndEachOther", func(t *testing.T) {
		t.Parallel()
		for _, leaf := range packages.existing(leaves) {
			for _, imported := range packages.imports(t, leaf) {
				require.True(t, imported.Standard || imported.module() == protobufModule || slices.Contains(leaves, imported.ImportPath),
					"%s imports %s: a leaf package may import the standard library, protobuf, egopb and other leaf packages; "+
						"move what needs more to a package that uses the leaf", leaf, imported.ImportPath)
			}
		}
	})
	t.Run("GoAktStaysBehindRootAndEgoactor", func(t *testing.T) {
		t.Parallel()
		for path, p := range packages {
			if p.module() != egoModule || path == egoModule || path == egoModule+"/internal/egoactor" {
				continue
			}
			for _, imported := range packages.imports(t, path) {
				require.False(t, imported.module() == goaktModule && !isServiceImport(path, imported.ImportPath),
					"%s imports %s: only the root package and internal/egoactor may know GoAkt; "+
						"put an interface of your own between, and implement it in internal/egoactor", path, imported.ImportPath)
			}
		}
	})
	t.Run("ThirdPartyModulesArePinned", func(t *testing.T) {
		t.Parallel()
		for _, path := range packages.existing(pinnable) {
			require.NotNil(t, pinned[path], "add an entry for %s to the table pinned in imports_test.go", path)
		}
		for _, path := range slices.Sorted(maps.Keys(pinned)) {
			require.NotNil(t, packages[path], "%s is gone: remove its entry from the table pinned in imports_test.go", path)
			require.ElementsMatch(t, pinned[path], packages.thirdParty(t, path),
				"the third-party modules that %s imports differ from the table pinned in imports_test.go. Left is the table, "+
					"right is the code. Do without a new one if you can; when it is worth it to every user, or when one has gone, "+
					"change the table in the same commit", path)
		}
	})
}

// isServiceImport reports whether an example brings a discovery provider, as every clustered service does, or names what
// one is.
func isServiceImport(importer, imported string) bool {
	return strings.HasPrefix(importer, egoModule+"/examples/") && strings.HasPrefix(imported+"/", goaktModule+"/discovery/")
}

// goPackage is a package as go list reports it, without its tests.
type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
	Module     *struct{ Path string }
}

func (p *goPackage) module() string {
	if p.Module == nil {
		return ""
	}
	return p.Module.Path
}

// packageSet holds the packages of this module and all they depend on, by import path.
type packageSet map[string]*goPackage

// listPackages asks the go command, which knows build constraints and modules.
func listPackages(t *testing.T) packageSet {
	t.Helper()
	touchSources(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Standard,Module", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	packages := packageSet{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		p := &goPackage{}
		require.NoError(t, decoder.Decode(p))
		packages[p.ImportPath] = p
	}
	require.NotNil(t, packages[egoModule])
	require.NotNil(t, packages[egoModule+"/internal/egoactor"])
	return packages
}

// touchSources looks at every Go file. The cache of test results knows only the files that the test itself has looked at,
// not those that the go command has; without this, a new import would go unseen until something else changed.
func touchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		return err
	})
	require.NoError(t, err)
}

func (s packageSet) existing(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return s[path] == nil })
}

// imports returns what a package imports directly.
func (s packageSet) imports(t *testing.T, path string) []*goPackage {
	t.Helper()
	var imported []*goPackage
	for _, name := range s[path].Imports {
		require.NotNil(t, s[name], "%s imports %s, which go list does not report", path, name)
		imported = append(imported, s[name])
	}
	return imported
}

// thirdParty returns the modules, other than this one, that a package imports directly.
func (s packageSet) thirdParty(t *testing.T, path string) []string {
	t.Helper()
	modules := map[string]bool{}
	for _, p := range s.imports(t, path) {
		if !p.Standard && p.module() != egoModule {
			modules[p.module()] = true
		}
	}
	return slices.Sorted(maps.Keys(modules))
}
