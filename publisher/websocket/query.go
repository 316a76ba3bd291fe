package websocket

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/actorkeep/ego/publisher"
)

// maxQuery bounds what a stranger may send.
const maxQuery = 16 << 10

// parse reads what a client asks for.
func parse(r *http.Request) (*Request, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, errors.New("the query is too long")
	}
	query := r.URL.Query()
	request := &Request{}
	request.Selection.Kinds = query["kind"]
	request.Selection.Tags = query["tag"]
	request.Selection.EventTypes = query["type"]
	request.Selection.Entities = query["entity"]
	switch stream := query.Get("stream"); stream {
	case "", "events":
	case "states":
		request.States = true
	default:
		return nil, fmt.Errorf("there is no stream %q", stream)
	}
	switch format := query.Get("format"); format {
	case "", "json":
	case "protobuf":
		request.Protobuf = true
	default:
		return nil, fmt.Errorf("there is no format %q", format)
	}
	from := query.Get("from")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		from = last // the browser connects again with the query of the first time
	}
	switch from {
	case "", "now":
		request.Now = true
		return request, nil
	case "start":
		from = ""
	}
	var err error
	request.Cursor, err = publisher.ParseCursor(from)
	return request, err
}
