// Package adaptertest proves that today's code still opens the events of the past.
//
// A golden file holds one event as it was stored when the file was recorded, and what it has to open as. Record files for
// the events of each release, check them in, and never delete one while a journal may hold its like:
//
//	func TestGolden(t *testing.T) {
//		adaptertest.Golden{
//			Dir:      "testdata/golden",
//			Adapters: account.Adapters(),
//			Samples:  []proto.Message{&bankpb.Credited{Amount: 5}, &bankpb.Debited{Amount: 5}},
//		}.Run(t)
//	}
//
// The test opens every file. With EGO_GOLDEN=record in the environment it also records the samples that have no file yet.
// With EGO_GOLDEN=update it writes anew what the files open as, and leaves the stored events alone; read the difference
// before you check it in.
package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/eventadapter"
)

// modeVariable is the environment variable that says what to do besides checking.
const modeVariable = "EGO_GOLDEN"

// Golden is a folder of golden files and the code that has to open them.
type Golden struct {
	Dir      string                      // of the files; created when the first is recorded
	Adapters []eventadapter.EventAdapter // as given to the engine
	Version  uint32                      // schema version that samples are recorded with
	Samples  []proto.Message             // an event of every type that is stored today
}

// Run fails t for every file that does not open as it says, and for every sample that has no file.
func (g Golden) Run(t testing.TB) {
	t.Helper()
	chain, err := eventadapter.NewChain(g.Adapters...)
	if err != nil {
		t.Fatalf("%s", err)
	}
	mode := os.Getenv(modeVariable)
	if err := g.record(chain, mode == "record"); err != nil {
		t.Errorf("%s", err)
	}
	names, err := filepath.Glob(filepath.Join(g.Dir, "*.json"))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("there are no golden files in %s", g.Dir)
	}
	if err != nil {
		t.Errorf("%s", err)
	}
	for _, name := range names {
		if err := checkFile(chain, name, mode == "update"); err != nil {
			t.Errorf("%s: %s", name, err)
		}
	}
}

// record writes the files of samples that have none, or says which they are.
func (g Golden) record(chain *eventadapter.Chain, write bool) error {
	seen := make(map[string]int)
	var problems []error
	for _, sample := range g.Samples {
		kind := string(sample.ProtoReflect().Descriptor().FullName())
		seen[kind]++
		name := filepath.Join(g.Dir, fmt.Sprintf("%s.v%d-%d.json", kind, g.Version, seen[kind]))
		if _, err := os.Stat(name); err == nil {
			continue // recorded once, by whatever the sample was then
		}
		if !write {
			problems = append(problems, fmt.Errorf("%s is missing: run the test with %s=record", name, modeVariable))
			continue
		}
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(sample)
		if err != nil {
			return err
		}
		f := &file{TypeURL: "type.googleapis.com/" + kind, SchemaVersion: g.Version, Value: value}
		if err := errors.Join(f.expect(chain), f.write(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return errors.Join(problems...)
}

// checkFile opens the event in a file and compares what it becomes with what the file says.
func checkFile(chain *eventadapter.Chain, name string, update bool) error {
	f, err := read(name)
	if err != nil {
		return err
	}
	if update {
		return errors.Join(f.expect(chain), f.write(name))
	}
	got, err := f.open(chain)
	if err != nil {
		return err
	}
	want, err := f.want()
	if err != nil {
		return err
	}
	if !slices.EqualFunc(want, got, proto.Equal) {
		return fmt.Errorf("it opens as %s, and the file says %s; if that is right, run the test with %s=update",
			texts(got), texts(want), modeVariable)
	}
	return nil
}

// open returns what the event becomes, as an engine would see it.
func (f *file) open(chain *eventadapter.Chain) ([]proto.Message, error) {
	record := &egopb.Event{
		PersistenceId:  "golden",
		SequenceNumber: 1,
		SchemaVersion:  f.SchemaVersion,
		Payload:        &anypb.Any{TypeUrl: f.TypeURL, Value: f.Value},
	}
	events, err := chain.Apply(context.Background(), eventadapter.NewEvent(record, f.TypeURL, f.Value))
	if err != nil {
		return nil, err
	}
	messages := make([]proto.Message, len(events))
	for i, event := range events {
		if messages[i], err = event.Message(); err != nil {
			return nil, fmt.Errorf("%s: %w", event, err)
		}
	}
	return messages, nil
}
