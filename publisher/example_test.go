package publisher_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher"
)

// A webhook publishes events to a service, as CloudEvents over HTTP.
type webhook struct {
	url     string
	encoder publisher.Encoder
}

func (w *webhook) ID() string                  { return "webhook" } // what it has published is remembered under it
func (w *webhook) Close(context.Context) error { return nil }

// Publish returns nil once the service has taken the event. Else it says whose fault that is.
func (w *webhook) Publish(ctx context.Context, event *egopb.Event) error {
	m, err := w.encoder.EncodeEvent(event)
	if err != nil {
		return err // of Reject
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m.Body))
	if err != nil {
		return publisher.Reject(err)
	}
	for _, h := range m.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return publisher.Unavailable(err) // tried again for as long as it takes
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode < http.StatusMultipleChoices:
		return nil
	case response.StatusCode == http.StatusUnprocessableEntity:
		return publisher.Rejectf("the service refuses the event: %s", response.Status) // parked; all other events go on
	default:
		return publisher.Unavailable(fmt.Errorf("the service answers %s", response.Status))
	}
}

// A publisher of one's own: here to a service that takes CloudEvents.
func ExampleEventPublisher() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	arrived := make(chan string, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- fmt.Sprintln(r.Header.Get("ce-source"), r.Header.Get("ce-id"), r.Header.Get("ce-type"), string(body))
	}))
	defer service.Close()
	defer http.DefaultClient.CloseIdleConnections()
	encoder, err := publisher.CloudEvents("/counters", publisher.CloudEventsBinaryJSON)
	if err != nil {
		panic(err)
	}

	journal := memory.NewStore()
	added, err := anypb.New(wrapperspb.Int64(5))
	if err != nil {
		panic(err)
	}
	event := &egopb.Event{PersistenceId: "visits", SequenceNumber: 1, Kind: "counter", Payload: added}
	if err := journal.WriteEvents(ctx, []*egopb.Event{event}); err != nil {
		panic(err)
	}
	engine := ego.NewEngine("counters", journal)
	if err := engine.AddEventPublishers(&webhook{service.URL, encoder}); err != nil {
		panic(err)
	}
	if err := engine.Start(ctx); err != nil {
		panic(err)
	}
	fmt.Print(<-arrived)
	fmt.Println(engine.Stop(ctx)) // closes the publisher
	// Output:
	// /counters visits/1 google.protobuf.Int64Value "5"
	// <nil>
}
