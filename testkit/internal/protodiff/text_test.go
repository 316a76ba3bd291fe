package protodiff_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

func TestText(t *testing.T) {
	t.Parallel()

	t.Run("LongTextsAreShownWhereTheyDiffer", func(t *testing.T) {
		t.Parallel()
		common := strings.Repeat("€", 500)
		want := &testpb.Everything{Text: common + "left" + common}
		got := &testpb.Everything{Text: common + "right"}
		before := strings.Repeat("€", 7) // whole characters
		require.Equal(t, []protodiff.Difference{{
			Path: "text",
			Want: `…"` + before + "left" + strings.Repeat("€", 18) + `"…`,
			Got:  `…"` + before + `right"`,
		}}, protodiff.Compare(want, got))
	})
	t.Run("LongUnknownFieldsAreShownWhereTheyDiffer", func(t *testing.T) {
		t.Parallel()
		var same []uint64
		for range 50 {
			same = append(same, 77, 1)
		}
		differences := protodiff.Compare(unknown(append(same, 77, 2)...), unknown(append(same, 77, 3)...))
		require.Equal(t, "unknown field 77", differences[0].Path)
		require.Regexp(t, `^…0x(e80401|0401|01|)(e80401){6}e80402$`, differences[0].Want)
		require.Regexp(t, `^…0x(e80401|0401|01|)(e80401){6}e80403$`, differences[0].Got)
	})
	t.Run("LongLinesAreBroken", func(t *testing.T) {
		t.Parallel()
		text := protodiff.Text([]protodiff.Difference{
			{Path: "a", Want: strings.Repeat("x", 50), Got: strings.Repeat("y", 50)},
			{Want: strings.Repeat("x", 50), Got: strings.Repeat("y", 50)},
		}, "was", "is now")
		require.Equal(t, ""+
			"a:\n"+
			"    was    "+strings.Repeat("x", 50)+"\n"+
			"    is now "+strings.Repeat("y", 50)+"\n"+
			"    was    "+strings.Repeat("x", 50)+"\n"+
			"    is now "+strings.Repeat("y", 50), text)
	})
	t.Run("OnlyTheFirstOfManyAreShown", func(t *testing.T) {
		t.Parallel()
		text := protodiff.Text(protodiff.Compare(&testpb.Everything{Numbers: make([]int64, 100)}, &testpb.Everything{}), "want", "got")
		lines := strings.Split(text, "\n")
		require.Len(t, lines, 41)
		require.Equal(t, "numbers[39]: want 0, got nothing", lines[39])
		require.Equal(t, "… and 60 more differences", lines[40])
	})
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message proto.Message
		want    string
	}{
		"Nil":      {nil, "nil"},
		"NilTyped": {(*testpb.Deposited)(nil), "nil egotest.v1.Deposited"},
		"Empty":    {&testpb.Deposited{}, "egotest.v1.Deposited{}"},
		"Fields":   {&testpb.Deposited{Amount: 5, Note: "a\"b"}, `egotest.v1.Deposited{amount:5 note:"a\"b"}`},
		"Sorts": {
			&testpb.Everything{
				Truth: true, Ratio: 0.1, Precise: math.NaN(), Raw: []byte{1}, Color: 2, Nickname: new(""), Numbers: []int64{1, 2},
				Children: []*testpb.Everything{nil, {Small: 1}}, Labels: map[string]string{"b": "2", "a": "1"}, At: &timestamppb.Timestamp{Seconds: 1},
				Choice: &testpb.Everything_ChoiceNumber{ChoiceNumber: 7},
			},
			`egotest.v1.Everything{truth:true ratio:0.1 precise:NaN raw:"\x01" color:COLOR_BLUE nickname:"" numbers:[1, 2] ` +
				`children:[{}, {small:1}] labels:{"a":"1", "b":"2"} at:{1970-01-01T00:00:01Z} choice_number:7}`,
		},
		"Any":     {packed(t, &testpb.Deposited{Amount: 5}), "google.protobuf.Any{(egotest.v1.Deposited){amount:5}}"},
		"Unknown": {unknown(77, 1), "egotest.v1.Deposited{unknown:0xe80401}"},
		"Extension": {
			extended("a", &testpb.Legacy{Name: new("b")}),
			`egotest.v1.Legacy{[egotest.v1.comment]:"a" [egotest.v1.related]:[{name:"b"}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, protodiff.Format(c.message))
		})
	}

	t.Run("LongMessagesAreCut", func(t *testing.T) {
		t.Parallel()
		labels := map[string]string{}
		for i := range 1000 {
			labels[strings.Repeat("k", i)] = "v"
		}
		for _, message := range []proto.Message{
			&testpb.Everything{Numbers: make([]int64, 1000), Text: strings.Repeat("x", 1000)},
			&testpb.Everything{Labels: labels},
			nested(1000),
		} {
			text := protodiff.Format(message)
			require.Less(t, len(text), 1000)
			require.True(t, strings.HasSuffix(text, "…"), text)
		}
	})
}

// nested returns a message that holds another, so many times.
func nested(depth int) *testpb.Everything {
	m := &testpb.Everything{}
	for range depth {
		m = &testpb.Everything{Child: m}
	}
	return m
}
