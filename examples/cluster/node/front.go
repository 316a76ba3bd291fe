package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/examples/bank/account"
	"github.com/actorkeep/ego/examples/bank/bankpb"
)

// patience is enough to ride out the death of a node.
const patience = 15 * time.Second

// front turns HTTP requests into commands.
type front struct{ engine *ego.Engine }

func (f *front) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /accounts/{id}", f.open)
	mux.HandleFunc("GET /accounts/{id}", f.read)
	mux.HandleFunc("POST /accounts/{id}/credit", func(w http.ResponseWriter, r *http.Request) {
		f.move(w, r, func(amount int64) ego.Command { return &bankpb.Credit{Amount: amount} })
	})
	mux.HandleFunc("POST /accounts/{id}/debit", func(w http.ResponseWriter, r *http.Request) {
		f.move(w, r, func(amount int64) ego.Command { return &bankpb.Debit{Amount: amount} })
	})
	mux.HandleFunc("GET /topology", f.topology)
	mux.HandleFunc("GET /health", f.health)
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func (f *front) open(w http.ResponseWriter, r *http.Request) {
	if err := f.engine.Entity(r.Context(), account.New(r.PathValue("id"))); err != nil {
		fail(w, err)
		return
	}
	f.send(w, r, &bankpb.OpenAccount{Owner: r.FormValue("owner")})
}

func (f *front) move(w http.ResponseWriter, r *http.Request, command func(amount int64) ego.Command) {
	amount, err := strconv.ParseInt(r.FormValue("amount"), 10, 64)
	if err != nil {
		http.Error(w, "the amount is not a number", http.StatusBadRequest)
		return
	}
	f.send(w, r, command(amount))
}

// send sends a command. A request with an Idempotency-Key may be repeated, at any node, until it is answered.
func (f *front) send(w http.ResponseWriter, r *http.Request, command ego.Command) {
	ctx := r.Context()
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		ctx = ego.WithCommandID(ctx, key)
	}
	state, revision, err := ego.Ask[*bankpb.Account](ctx, f.engine, r.PathValue("id"), command, patience)
	answer(w, state, revision, err)
}

func (f *front) read(w http.ResponseWriter, r *http.Request) {
	state, revision, err := f.engine.EntityState(r.Context(), r.PathValue("id"), patience)
	opened, _ := state.(*bankpb.Account)
	answer(w, opened, revision, err)
}

func (f *front) topology(w http.ResponseWriter, r *http.Request) {
	topology, err := f.engine.Topology(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	write(w, topology)
}

// health is what a load balancer asks.
func (f *front) health(w http.ResponseWriter, r *http.Request) {
	if err := f.engine.Health(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func answer(w http.ResponseWriter, state *bankpb.Account, revision uint64, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	write(w, map[string]any{"owner": state.GetOwner(), "balance": state.GetBalance(), "revision": revision})
}

func write(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) //nolint:errchkjson // it fails when the client has gone
}

// fail says what the caller may do next.
func fail(w http.ResponseWriter, err error) {
	refused, isRefused := errors.AsType[*ego.CommandError](err)
	switch {
	case isRefused:
		http.Error(w, refused.Code+": "+refused.Message, http.StatusConflict)
	case errors.Is(err, ego.ErrEntityNotFound):
		http.Error(w, "there is no such account", http.StatusNotFound)
	default: // repeat it with its Idempotency-Key
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}
