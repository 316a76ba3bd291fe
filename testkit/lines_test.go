package testkit_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit"
)

// failForReal tells the process that TestLines starts to let its scenarios fail.
const failForReal = "EGO_TESTKIT_FAIL"

// failures are scenarios that fail at the line that they print.
var failures = map[string]func(t *testing.T){
	"New":        func(t *testing.T) { expectHere(); testkit.New(t, testaccount.New("")) },
	"Given":      func(t *testing.T) { s := testkit.New(t, testaccount.New("a")); expectHere(); s.Given(nil) },
	"GivenState": func(t *testing.T) { s := testkit.New(t, testaccount.New("a")); expectHere(); s.GivenState(nil) },
	"When":       func(t *testing.T) { s := testkit.New(t, testaccount.New("a")); expectHere(); s.When(nil) },
	"ThenState": func(t *testing.T) {
		expectHere(2)
		testkit.New(t, testaccount.New("a")).When(&testpb.Deposit{}).
			ThenState(&testpb.Account{Owner: "x"})
	},
	"ThenEvents":   func(t *testing.T) { expectHere(); deposited(t).ThenEvents() },
	"ThenNoEvents": func(t *testing.T) { expectHere(); deposited(t).ThenNoEvents() },
	"ThenError":    func(t *testing.T) { expectHere(); deposited(t).ThenError("x") },
	"ThenRejected": func(t *testing.T) { expectHere(); deposited(t).ThenRejected("x") },
	"TheEnd": func(t *testing.T) {
		expectHere(1)
		s := testkit.New(t, testaccount.New("a"))
		s.When(&testpb.Withdraw{Amount: 1})
	},
	"StateNew":          func(t *testing.T) { expectHere(); testkit.NewDurableState(t, testaccount.NewPurse("")) },
	"StateGiven":        func(t *testing.T) { s := testkit.NewDurableState(t, newPurse()); expectHere(); s.Given(nil, 1) },
	"StateWhen":         func(t *testing.T) { s := testkit.NewDurableState(t, newPurse()); expectHere(); s.When(nil) },
	"StateThenState":    func(t *testing.T) { expectHere(); changed(t).ThenState(&testpb.Account{Owner: "x"}) },
	"StateThenRevision": func(t *testing.T) { expectHere(); changed(t).ThenRevision(7) },
	"StateThenNoChange": func(t *testing.T) { expectHere(); changed(t).ThenNoChange() },
	"StateThenError":    func(t *testing.T) { expectHere(); changed(t).ThenError("x") },
	"StateThenRejected": func(t *testing.T) { expectHere(); changed(t).ThenRejected("x") },
	"Purity": func(t *testing.T) {
		s := testkit.New(t, &account{initial: func() proto.Message { return &testpb.Account{} }})
		expectHere(1)
		s.When(&testpb.Misbehave{How: "panic"})
	},
}

// deposited returns a scenario after a command that changed something.
func deposited(t *testing.T) *testkit.Scenario {
	t.Helper()
	return testkit.New(t, testaccount.New("a")).When(&testpb.Deposit{Amount: 1})
}

func changed(t *testing.T) *testkit.StateScenario {
	t.Helper()
	return testkit.NewDurableState(t, newPurse()).When(&testpb.Deposit{Amount: 1})
}

// expectHere prints that a failure is to be reported for the line of the call, or one so many lines below.
func expectHere(below ...int) {
	_, _, line, _ := runtime.Caller(1)
	for _, n := range below {
		line += n
	}
	fmt.Fprintf(os.Stderr, "EXPECT lines_test.go:%d:\n", line)
}

// The lines that the testing package itself reports are those of the scenario. A second run of this test shows them.
func TestLines(t *testing.T) {
	if os.Getenv(failForReal) != "" {
		for name, fail := range failures {
			t.Run(name, fail)
		}
		return
	}
	t.Parallel()
	self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLines$")
	self.Env = append(os.Environ(), failForReal+"=1")
	out, err := self.CombinedOutput()
	require.Error(t, err)
	expected := regexp.MustCompile(`EXPECT (lines_test\.go:\d+:)`).FindAllStringSubmatch(string(out), -1)
	require.Len(t, expected, len(failures), string(out))
	for _, line := range expected {
		require.Equal(t, 1, strings.Count(string(out), "    "+line[1]+" "), "%s\n%s", line[1], out)
	}
}
