package audit_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/actorkeep/ego/examples/bank/internal/audit"
	"github.com/actorkeep/ego/examples/bank/internal/teller"
	"github.com/actorkeep/ego/internal/mongotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(mongotest.Main(m)) }

// keep makes a small bank in a place and returns what was acknowledged.
func keep(t *testing.T, place teller.Place) []teller.Ack {
	t.Helper()
	var mu sync.Mutex
	var acks []teller.Ack
	bank, err := teller.Open(t.Context(), place, func(ack teller.Ack) {
		mu.Lock()
		defer mu.Unlock()
		acks = append(acks, ack)
	})
	require.NoError(t, err)
	require.NoError(t, bank.OpenAccounts(t.Context(), 10, 1000))
	_, err = bank.Work(t.Context(), &teller.Load{Accounts: 10, Transfers: 200, Senders: 8, Run: "r", Seed: 1})
	require.NoError(t, err)
	_, err = bank.Check(t.Context())
	require.NoError(t, err)
	require.NoError(t, bank.Close(context.Background()))
	return acks
}

func onFile(t *testing.T) teller.Place { return teller.Place{Dir: t.TempDir()} }

func onMongo(t *testing.T) teller.Place {
	return teller.Place{Mongo: mongotest.URL(t), Database: mongotest.Database(t)}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T) teller.Place{"File": onFile, "Mongo": onMongo} {
		t.Run("PassesSoundBooks/"+name, func(t *testing.T) {
			t.Parallel()
			place := place(t)
			acks := keep(t, place)
			report, err := audit.Place(t.Context(), place, acks)
			require.NoError(t, err)
			require.Equal(t, 10, report.Accounts)
			require.Len(t, acks, report.Events)
			require.Zero(t, report.InFlight)
		})
		t.Run("FindsNothingInAPlaceWithoutBooks/"+name, func(t *testing.T) {
			t.Parallel()
			place := place(t)
			report, err := audit.Place(t.Context(), place, nil)
			require.NoError(t, err)
			require.Zero(t, report)
			_, err = audit.Place(t.Context(), place, []teller.Ack{{Entity: "a", Command: "c", Revision: 1}})
			require.ErrorContains(t, err, "is lost")
		})
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ damage, finds string }{
		"LostEvent":    {`DELETE FROM ego_events WHERE place = (SELECT max(place) FROM ego_events)`, "was acknowledged and is lost"},
		"GapInAccount": {`DELETE FROM ego_events WHERE persistence_id = 'account-00001' AND sequence_number = 2`, "account account-00001 goes from event 1 to 3"},
		"GapInShard":   {`UPDATE ego_events SET place = place + 1 WHERE place = (SELECT max(place) FROM ego_events)`, "goes from position"},
		"ForkedNumber": {`UPDATE ego_events SET sequence_number = 9999 WHERE persistence_id = 'account-00001' AND sequence_number = 2`, "goes from event 1 to 9999"},
		"MoneyMade":    {`UPDATE ego_events SET record = (SELECT record FROM ego_events WHERE persistence_id = 'account-00002' AND sequence_number = 1) WHERE place = (SELECT max(place) FROM ego_events)`, "took effect"},
		"NothingLeft":  {`DELETE FROM ego_events`, "is lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := onFile(t)
			acks := keep(t, place)
			db, err := sql.Open("sqlite", "file:"+place.Path())
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), c.damage)
			require.NoError(t, err)
			require.NoError(t, db.Close())
			_, err = audit.Place(t.Context(), place, acks)
			if name == "MoneyMade" {
				require.Error(t, err)
				return
			}
			require.ErrorContains(t, err, c.finds)
		})
	}
}
