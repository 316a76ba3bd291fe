package ego_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sourceTree holds the parsed Go files of every folder, those of the nested modules included.
type sourceTree map[string][]*ast.File

// parseTree parses the Go files whose paths are wanted.
func parseTree(t *testing.T, want func(path string) bool) sourceTree {
	t.Helper()
	tree, files := sourceTree{}, token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || !want(path) {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		tree[filepath.Dir(path)] = append(tree[filepath.Dir(path)], file)
		return err
	})
	require.NoError(t, err)
	return tree
}

func isTestFile(path string) bool { return strings.HasSuffix(path, "_test.go") }

// isPublic reports whether users import the packages of a folder: it is not internal, no example, and no part of the build.
func isPublic(dir string) bool {
	parts := strings.Split(filepath.ToSlash(dir), "/")
	return !slices.Contains(parts, "internal") && !slices.Contains([]string{"benchmark", "examples", "hack", "tools"}, parts[0])
}

// publicPackages returns the folders of the packages that users import, apart from what is generated.
func publicPackages(t *testing.T) []string {
	t.Helper()
	written := map[string]bool{}
	for dir, files := range parseTree(t, func(path string) bool { return !isTestFile(path) && isPublic(filepath.Dir(path)) }) {
		for _, file := range files {
			written[dir] = written[dir] || file.Name.Name != "main" && !ast.IsGenerated(file) && len(file.Decls) > 0
		}
	}
	maps.DeleteFunc(written, func(_ string, ours bool) bool { return !ours })
	return slices.Sorted(maps.Keys(written))
}

// runnableExamples returns the names of the examples of a package that are run and compared with the output they state.
func runnableExamples(files []*ast.File) []string {
	var names []string
	for _, example := range doc.Examples(files...) {
		if example.Output != "" || example.EmptyOutput {
			names = append(names, "Example"+example.Name)
		}
	}
	return names
}

// TestPublicPackagesAreExplained finds a package whose comment says less than what it is for, what it promises and what can fail.
func TestPublicPackagesAreExplained(t *testing.T) {
	t.Parallel()
	const words = 50
	tree := parseTree(t, func(path string) bool { return !isTestFile(path) })
	for dir, files := range tree {
		if !isPublic(dir) || files[0].Name.Name == "main" {
			continue
		}
		comment := ""
		for _, file := range files {
			if file.Doc != nil && !ast.IsGenerated(file) {
				comment += file.Doc.Text()
			}
		}
		require.Truef(t, strings.HasPrefix(comment, "Package "+files[0].Name.Name+" "), "package %s: its comment is %q", dir, comment)
		require.GreaterOrEqual(t, len(strings.Fields(comment)), words, "package %s says too little of itself", dir)
	}
}

// TestPublicPackagesHaveExamples finds a package without an example that runs. A symbol that has gone leaves an example that
// vet refuses.
func TestPublicPackagesHaveExamples(t *testing.T) {
	t.Parallel()
	public := publicPackages(t)
	for _, known := range []string{".", "encryption", "eventadapter/adaptertest", "persistence/sqlite", "publisher/pulsar", "testkit"} {
		require.Contains(t, public, known)
	}
	tests := parseTree(t, isTestFile)
	for _, dir := range public {
		require.NotEmpty(t, runnableExamples(tests[dir]), "package %s has no Example with an Output", dir)
	}
}

// TestReadmeHasAnExampleOfEverything finds a capability of README.md without an example that runs, a link to an example that
// does not, and an example of the root package that nobody finds from there.
func TestReadmeHasAnExampleOfEverything(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## What it does\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	begins := regexp.MustCompile(`(?m)^\*\*(.+?)\.\*\*`).FindAllStringSubmatchIndex(section, -1)
	require.Greater(t, len(begins), 15)
	tests := parseTree(t, isTestFile)
	linked := map[string]bool{}
	for i, begin := range begins {
		text := section[begin[0]:]
		if i+1 < len(begins) {
			text = section[begin[0]:begins[i+1][0]]
		}
		links := regexp.MustCompile("\\[`(Example\\w*)`\\]\\(([^)]+)\\)").FindAllStringSubmatch(text, -1)
		require.NotEmpty(t, links, "README.md shows no example of %s", section[begin[2]:begin[3]])
		for _, link := range links {
			dir := filepath.Dir(link[2])
			require.Contains(t, runnableExamples(tests[dir]), link[1], "README.md links to it in %s", dir)
			source, err := os.ReadFile(link[2])
			require.NoError(t, err)
			require.Contains(t, string(source), fmt.Sprintf("\nfunc %s()", link[1]), "README.md links to it in %s", link[2])
			linked[filepath.Join(dir, link[1])] = true
		}
	}
	for _, name := range runnableExamples(tests["."]) {
		require.True(t, linked[name], "README.md does not link to %s", name)
	}
}
