package ego_test

import (
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/persistence/persistencetest"
)

const promises = 12

// A proof is a test that docs/guarantees.md names for a promise.
type proof struct {
	promise string   // G1
	name    []string // of the test and of its subtests
	dirs    []string // where the page says that it is; none when it does not
}

// guaranteeRows returns what the page says to prove each promise.
func guaranteeRows(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("docs/guarantees.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (G\d+) \| .* \| (.*) \|$`).FindAllStringSubmatch(string(page), -1) {
		require.Empty(t, rows[row[1]], "%s has two rows", row[1])
		rows[row[1]] = row[2]
	}
	return rows
}

// proofs returns the tests that are named in a row. What follows of names, "in the root" or "in `dir`", says where they are.
func proofs(promise, row string) []proof {
	var all, pending []proof
	word := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[^`]*)`|(;)|in (the root)|in `([a-z/]+)`(?: and `([a-z/]+)`)?")
	for _, found := range word.FindAllStringSubmatch(row, -1) {
		switch {
		case found[1] != "":
			pending = append(pending, proof{promise: promise, name: strings.Split(found[1], "/")})
			continue
		case found[3] != "":
			found[4] = "."
		}
		for i := range pending {
			pending[i].dirs = slices.DeleteFunc([]string{found[4], found[5]}, func(dir string) bool { return dir == "" })
		}
		all, pending = append(all, pending...), nil
	}
	return append(all, pending...)
}

// in reports whether the files have the test with all its subtests, and whether it names the promise.
func (p *proof) in(files []*ast.File) (exists, named bool) {
	for _, file := range files {
		for _, decl := range file.Decls {
			test, ok := decl.(*ast.FuncDecl)
			if !ok || test.Recv != nil || test.Name.Name != p.name[0] {
				continue
			}
			exists = true
			named = named || slices.ContainsFunc(file.Comments, func(c *ast.CommentGroup) bool {
				return c.End() > test.Pos() && c.Pos() < test.End() && regexp.MustCompile(`\b`+p.promise+`\b`).MatchString(c.Text())
			})
		}
	}
	literals := stringLiterals(files)
	for _, subtest := range p.name[1:] {
		exists = exists && literals[subtest]
	}
	return exists, named
}

func stringLiterals(files []*ast.File) map[string]bool {
	literals := map[string]bool{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok {
				if text, err := strconv.Unquote(literal.Value); err == nil {
					literals[text] = true
				}
			}
			return true
		})
	}
	return literals
}

// TestGuaranteesNameTheirTests holds docs/guarantees.md against the tests of the tree: every promise has one, and those that the
// page names exist where it says, and name the promise as it says.
func TestGuaranteesNameTheirTests(t *testing.T) {
	t.Parallel()
	rows, tests := guaranteeRows(t), parseTree(t, isTestFile)
	require.Len(t, rows, promises)
	for i := range promises {
		promise := fmt.Sprint("G", i+1)
		all := proofs(promise, rows[promise])
		require.NotEmpty(t, all, "%s is proved by no test", promise)
		for _, p := range all {
			dirs := p.dirs
			if len(dirs) == 0 {
				for dir := range tests {
					dirs = append(dirs, dir)
				}
			}
			exists, named := false, false
			for _, dir := range dirs {
				e, n := p.in(tests[dir])
				if !e && len(p.dirs) > 0 {
					t.Errorf("%s: there is no %s in %s", promise, strings.Join(p.name, "/"), dir)
				}
				exists, named = exists || e, named || n
			}
			if !exists {
				t.Errorf("%s: there is no %s", promise, strings.Join(p.name, "/"))
			} else if !named {
				t.Errorf("%s: %s does not name it: put // %s beside its name", promise, strings.Join(p.name, "/"), promise)
			}
		}
	}
}

// TestGuaranteesNameCasesOfTheSuite does the same for the cases of the conformance suite.
func TestGuaranteesNameCasesOfTheSuite(t *testing.T) {
	t.Parallel()
	var cases []string
	for _, c := range persistencetest.Cases() {
		cases = append(cases, c.Name)
	}
	named := 0
	for promise, row := range guaranteeRows(t) {
		for _, clause := range regexp.MustCompile("((?:`[A-Z][A-Za-z/*]+`(?:, | and )?)+) of the conformance suite").FindAllStringSubmatch(row, -1) {
			for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(clause[1], -1) {
				group := strings.TrimSuffix(name[1], "*")
				require.True(t, slices.ContainsFunc(cases, func(c string) bool { return c == group || strings.HasPrefix(c, strings.TrimSuffix(group, "/")+"/") }),
					"%s: the conformance suite has no case %s", promise, name[1])
				named++
			}
		}
	}
	require.Positive(t, named)
}
