package websocket_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher/websocket"
)

// The journal is served as server-sent events, from the start and for one kind of entities.
func ExampleNewHandler() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	journal := memory.NewStore()
	deposit, err := anypb.New(wrapperspb.Int64(100))
	if err != nil {
		panic(err)
	}
	event := &egopb.Event{PersistenceId: "alice", SequenceNumber: 1, Kind: "account", Payload: deposit}
	if err := journal.WriteEvents(ctx, []*egopb.Event{event}); err != nil {
		panic(err)
	}
	engine := ego.NewEngine("bank", journal)
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	feed, err := websocket.NewHandler(websocket.HandlerConfig{Events: engine.EventStream(), Authorize: websocket.AllowAll})
	if err != nil {
		panic(err)
	}
	front := httptest.NewServer(feed)
	defer front.Close()

	client, leave := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(client, http.MethodGet, front.URL+"?from=start&kind=account", http.NoBody)
	if err != nil {
		panic(err)
	}
	response, err := front.Client().Do(request)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data:")
		frame := new(egopb.Frame)
		if !found || protojson.Unmarshal([]byte(data), frame) != nil || frame.GetEvent() == nil {
			continue
		}
		fmt.Println(frame.GetEvent().GetPersistenceId(), frame.GetEvent().GetSequenceNumber())
		break
	}
	leave()
	_ = response.Body.Close() // cut off by leave
	if err := engine.Stop(ctx); err != nil {
		panic(err)
	}
	// Output: alice 1
}
