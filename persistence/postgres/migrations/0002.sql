-- The schema version of events, the data keys of the encryption, and which entities were erased.

ALTER TABLE events ADD COLUMN schema_version bigint; -- NULL is zero

CREATE TABLE data_keys (
	version        bigint  NOT NULL,
	destroyed      boolean NOT NULL DEFAULT false,
	persistence_id text    COLLATE "C" NOT NULL,
	key_id         text    COLLATE "C" NOT NULL,
	master_key_id  text    NOT NULL,
	record         bytea   NOT NULL, -- ego.v1.DataKey; without the key once it is destroyed
	PRIMARY KEY (persistence_id, version),
	UNIQUE (persistence_id, key_id)
);

CREATE TABLE lives (
	erasures       bigint  NOT NULL, -- how often it was erased
	phase          integer NOT NULL, -- 0 alive again, 1 being erased, 2 erased
	persistence_id text    COLLATE "C" PRIMARY KEY
);

CREATE INDEX lives_erasing ON lives (persistence_id) WHERE phase = 1;

INSERT INTO migrations (version) VALUES (2);
