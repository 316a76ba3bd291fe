-- The data keys of the encryption, and which entities were erased.

CREATE TABLE ego_data_keys (
	persistence_id TEXT    NOT NULL,
	version        INTEGER NOT NULL,
	key_id         TEXT    NOT NULL,
	master_key_id  TEXT    NOT NULL,
	destroyed      INTEGER NOT NULL,
	record         BLOB    NOT NULL, -- ego.v1.DataKey; without the key once it is destroyed
	PRIMARY KEY (persistence_id, version),
	UNIQUE (persistence_id, key_id)
) STRICT;

CREATE TABLE ego_lives (
	persistence_id TEXT PRIMARY KEY,
	phase          INTEGER NOT NULL, -- 0 alive again, 1 being erased, 2 erased
	erasures       INTEGER NOT NULL  -- how often it was erased
) STRICT, WITHOUT ROWID;

CREATE INDEX ego_lives_erasing ON ego_lives (persistence_id) WHERE phase = 1;
