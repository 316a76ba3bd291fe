package adaptertest_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/eventadapter/adaptertest"
)

// printer stands for the *testing.T that an example does not have. It prints what that would report.
type printer struct{ testing.TB }

func (printer) Helper()                           {}
func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (printer) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// The folder has an event of a former release, which counted in dozens, and one of today. Both were recorded when they were what
// the service stored, and are checked in. Without the adapter the test of the service fails, before a journal does.
func ExampleGolden() {
	var t printer // in a test, its *testing.T

	golden := adaptertest.Golden{
		Dir: "testdata/golden",
		Adapters: []eventadapter.EventAdapter{
			eventadapter.Upcast(func(dozens *wrapperspb.Int32Value) (*wrapperspb.Int64Value, error) {
				return wrapperspb.Int64(12 * int64(dozens.GetValue())), nil
			}),
		},
		Samples: []proto.Message{wrapperspb.Int64(5)},
	}
	golden.Run(t)
	fmt.Println("as recorded")

	golden.Adapters = nil
	golden.Run(t)
	// Output:
	// as recorded
	// testdata/golden/google.protobuf.Int32Value.v0-1.json: it opens as [google.protobuf.Int32Value{value:2}], and the file says [google.protobuf.Int64Value{value:24}]; if that is right, run the test with EGO_GOLDEN=update
}
