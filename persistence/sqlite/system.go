package sqlite

import "github.com/actorkeep/ego/persistence"

var _ persistence.SystemNamer = (*Store)(nil)

// DatabaseSystem implements [persistence.SystemNamer].
func (*Store) DatabaseSystem() string { return "sqlite" }
