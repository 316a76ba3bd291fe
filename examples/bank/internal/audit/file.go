package audit

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"github.com/actorkeep/ego/examples/bank/internal/teller"
)

// readFile goes through the journal of a SQLite file by shard and position: a place is shard * 2^51 + position.
func (b *books) readFile(ctx context.Context, place teller.Place) (err error) {
	path, err := filepath.Abs(place.Path())
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // the bank did not come so far as to make it
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `SELECT place, persistence_id, sequence_number, record FROM ego_events ORDER BY place`)
	if err != nil && strings.Contains(err.Error(), "no such table") {
		return nil
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		const positions = 1 << 51
		var (
			place, number uint64
			id            string
			record        []byte
		)
		if err := rows.Scan(&place, &id, &number, &record); err != nil {
			return err
		}
		if err := b.add(place/positions, place%positions, id, number, record); err != nil {
			return err
		}
	}
	return rows.Err()
}
