-- The tables of the store. Names that begin with ego_ are the store's; all others are free for read models.

CREATE TABLE ego_meta (
	id            INTEGER PRIMARY KEY CHECK (id = 1),
	shards        INTEGER NOT NULL, -- fixed when the store is created
	epoch         INTEGER NOT NULL, -- highest epoch of any lease, so that none is used again after its consumer was deleted
	timer_version INTEGER NOT NULL, -- highest version of any timer, for the same reason
	fences        INTEGER NOT NULL  -- writes that only made the outcome of an earlier commit certain
) STRICT;

-- One row per event and tombstone, clustered by place = shard * 2^51 + position.
CREATE TABLE ego_events (
	place           INTEGER PRIMARY KEY,
	persistence_id  TEXT    NOT NULL,
	sequence_number INTEGER NOT NULL,
	kind            TEXT    NOT NULL,
	record          BLOB -- ego.v1.Event; NULL on a tombstone
) STRICT;

CREATE UNIQUE INDEX ego_events_by_entity ON ego_events (persistence_id, sequence_number);

-- How far the events of an entity are deleted, so that no read walks over its tombstones.
CREATE TABLE ego_deletions (
	persistence_id     TEXT PRIMARY KEY,
	to_sequence_number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A table with a rowid: states may be large, and large rows make the tree of a WITHOUT ROWID table deep.
CREATE TABLE ego_snapshots (
	persistence_id  TEXT    NOT NULL,
	sequence_number INTEGER NOT NULL,
	record          BLOB    NOT NULL, -- ego.v1.Snapshot
	PRIMARY KEY (persistence_id, sequence_number)
) STRICT;

-- The latest state of each entity, clustered by place as the events are.
CREATE TABLE ego_states (
	place          INTEGER PRIMARY KEY,
	persistence_id TEXT    NOT NULL UNIQUE,
	revision       INTEGER NOT NULL,
	record         BLOB    NOT NULL -- ego.v1.DurableState
) STRICT;

CREATE TABLE ego_timers (
	owner         TEXT    NOT NULL,
	name          TEXT    NOT NULL,
	due           INTEGER NOT NULL, -- Unix nanoseconds
	version       INTEGER NOT NULL,
	attempts      INTEGER NOT NULL,
	claimed_until INTEGER NOT NULL, -- Unix nanoseconds; 0 when not claimed
	record        BLOB    NOT NULL, -- ego.v1.Timer
	PRIMARY KEY (owner, name)
) STRICT;

CREATE INDEX ego_timers_by_due ON ego_timers (due, owner, name);

CREATE TABLE ego_leases (
	consumer TEXT    NOT NULL,
	shard    INTEGER NOT NULL,
	owner    TEXT    NOT NULL, -- empty when released
	epoch    INTEGER NOT NULL,
	expires  INTEGER NOT NULL, -- Unix nanoseconds
	PRIMARY KEY (consumer, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE ego_offsets (
	consumer       TEXT    NOT NULL,
	shard          INTEGER NOT NULL,
	position       INTEGER NOT NULL,
	epoch          INTEGER NOT NULL,
	time_unix_nano INTEGER NOT NULL,
	PRIMARY KEY (consumer, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE ego_dead_letters (
	consumer       TEXT    NOT NULL,
	shard          INTEGER NOT NULL,
	position       INTEGER NOT NULL,
	persistence_id TEXT    NOT NULL,
	record         BLOB    NOT NULL, -- ego.v1.DeadLetter
	PRIMARY KEY (consumer, shard, position)
) STRICT;

CREATE INDEX ego_dead_letters_by_entity ON ego_dead_letters (consumer, shard, persistence_id);
