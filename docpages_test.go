package ego_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docPages returns the text of every page that people read, by its path.
func docPages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "examples/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			pages[path] = string(text)
		}
	}
	for _, known := range []string{"README.md", "docs/guarantees.md", "docs/adr/0030-the-fence-is-in-the-insert.md"} {
		require.NotEmpty(t, pages[known], known)
	}
	return pages
}

// anchors returns what links to a page can name: its headings, in the spelling of GitHub.
func anchors(page string) []string {
	var found []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found = append(found, strings.ReplaceAll(kept, " ", "-"))
	}
	return found
}

// TestDocsLinkToWhatExists follows every relative link of the pages, to its heading as well.
func TestDocsLinkToWhatExists(t *testing.T) {
	t.Parallel()
	pages, links := docPages(t), 0
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for path, text := range pages {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(found[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
			}
			_, err := os.Stat(target)
			require.NoError(t, err, "%s links to %s", path, found[1])
			if anchor != "" {
				require.Contains(t, anchors(pages[target]), anchor, "%s links to %s", path, found[1])
			}
		}
	}
	require.Greater(t, links, 10)
}

// TestDocsNameTargetsOfTheMakefile finds a `make target` that is gone.
func TestDocsNameTargetsOfTheMakefile(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	var targets []string
	for _, found := range regexp.MustCompile(`(?m)^\.PHONY: ([a-z-]+)$`).FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, found[1])
	}
	require.Contains(t, targets, "demo")
	named := 0
	for path, text := range docPages(t) {
		for _, found := range regexp.MustCompile("(?m)(?:`|^|\\| )make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			require.Contains(t, targets, found[1], "%s says make %s", path, found[1])
			named++
		}
	}
	require.Greater(t, named, 10)
}

// TestDocsNamePathsThatExist finds a file or folder of the repository that is gone. Records of decisions are left out: they say
// what was.
func TestDocsNamePathsThatExist(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var roots []string
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "." {
			roots = append(roots, entry.Name())
		}
	}
	quoted := regexp.MustCompile("`([A-Za-z0-9_./-]+)`")
	source := regexp.MustCompile(`^[a-z_]+\.(go|md|json|yaml)$`)
	named := 0
	for path, text := range docPages(t) {
		if strings.HasPrefix(path, filepath.Join("docs", "adr")) {
			continue
		}
		for _, found := range quoted.FindAllStringSubmatch(text, -1) {
			first, _, nested := strings.Cut(found[1], "/")
			placeholder := strings.Contains(found[1], "NNNN")
			if placeholder || nested && !slices.Contains(roots, first) || !nested && !source.MatchString(found[1]) {
				continue
			}
			matches, err := filepath.Glob(found[1])
			if !nested && len(matches) == 0 { // the row of its package names it
				matches, err = filepath.Glob(filepath.Join("internal", "*", found[1]))
			}
			if err != nil || len(matches) == 0 {
				t.Errorf("%s names %s, which does not exist", path, found[1])
			}
			named++
		}
	}
	require.Greater(t, named, 100)
}

// TestDocsNameBenchmarksThatExist reads the commands that measure the figures of the pages: each benchmark is in the package
// that the command names, so that nobody measures nothing.
func TestDocsNameBenchmarksThatExist(t *testing.T) {
	t.Parallel()
	tests, named := parseTree(t, isTestFile), 0
	command := regexp.MustCompile("(?s)`([^`]*go test [^`]*-bench '?([^\\s'/]+)[^`]*)`")
	for path, text := range docPages(t) {
		for _, found := range command.FindAllStringSubmatch(text, -1) {
			pattern, err := regexp.Compile(found[2])
			require.NoError(t, err, "%s: %s", path, found[1])
			for dir := range strings.FieldsSeq(found[1]) {
				if !strings.HasPrefix(dir, ".") {
					continue
				}
				dirs := []string{filepath.Clean(dir)}
				if dir == "." { // the page says where
					dirs = append(dirs, "benchmark")
				}
				require.True(t, slices.ContainsFunc(dirs, func(dir string) bool { return hasBenchmark(tests[dir], pattern) }),
					"%s: no benchmark in %s is one of %s", path, dir, found[1])
				named++
			}
		}
	}
	require.Greater(t, named, 10)
}

func hasBenchmark(files []*ast.File, pattern *regexp.Regexp) bool {
	for _, file := range files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && strings.HasPrefix(f.Name.Name, "Benchmark") && pattern.MatchString(f.Name.Name) {
				return true
			}
		}
	}
	return false
}

// TestOperationsNameEveryTable holds what docs/operations.md says of the PostgreSQL schema against its migrations.
func TestOperationsNameEveryTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("docs", "operations.md"))
	require.NoError(t, err)
	migrations, err := filepath.Glob(filepath.Join("persistence", "postgres", "migrations", "*.sql"))
	require.NoError(t, err)
	named := 0
	for _, file := range migrations {
		statements, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, made := range regexp.MustCompile(`(?m)^CREATE (?:UNIQUE )?(?:TABLE|INDEX|SEQUENCE) (\w+)`).FindAllStringSubmatch(string(statements), -1) {
			require.Contains(t, string(page), "`"+made[1]+"`", "docs/operations.md does not say what it is for")
			named++
		}
	}
	require.Greater(t, named, 10)
}
