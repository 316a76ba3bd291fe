-- The tables of the store, in a schema of their own. `Store.Migrate` runs this file in one transaction with the
-- search path set to that schema. To run it yourself:
--
--   BEGIN;
--   CREATE SCHEMA ego;
--   SET LOCAL search_path = ego, pg_catalog;
--   \i 0001.sql
--   COMMIT;
--
-- Ids compare by their bytes, whatever the collation of the database: COLLATE "C".

CREATE TABLE migrations (
	version    integer     PRIMARY KEY,
	applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row, which the first Connect or Migrate writes: the shard count is fixed from then on.
CREATE TABLE store (
	id     integer PRIMARY KEY CHECK (id = 1),
	shards integer NOT NULL
);

-- The highest position of each shard, advanced in the transaction that writes the events. Whoever holds the row is the
-- only one to write to its shard, so positions become visible in order. The rows are few and always hot: the low
-- fillfactor spreads them, so that updates stay on their page (HOT) and are pruned there without a vacuum.
CREATE TABLE event_shards (
	shard    integer PRIMARY KEY,
	position bigint  NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE state_shards (
	shard    integer PRIMARY KEY,
	position bigint  NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- One row per event and tombstone. Fixed-length columns come first, so that no space is lost to alignment. What is empty
-- is NULL, which costs a bit. A type_url that is NULL is a payload that is absent; a traceparent, a trace that is.
CREATE TABLE events (
	sequence_number bigint  NOT NULL,
	position        bigint  NOT NULL,
	time_unix_nano  bigint  NOT NULL,
	shard           integer NOT NULL,
	deleted         boolean NOT NULL DEFAULT false,
	persistence_id  text    COLLATE "C" NOT NULL,
	kind            text    NOT NULL,
	type_url        text,
	payload         bytea,
	tags            text[],
	metadata        jsonb, -- of strings
	command_id      text,
	correlation_id  text,
	causation_id    text,
	traceparent     text,
	tracestate      text,
	key_id          text,
	writer_id       text,
	PRIMARY KEY (persistence_id, sequence_number), -- the fence between writers; recovery reads by it
	UNIQUE (shard, position)                       -- consumers read by it
);

-- How far the events of an entity are deleted, so that no read walks over its tombstones.
CREATE TABLE deletions (
	persistence_id     text   COLLATE "C" PRIMARY KEY,
	to_sequence_number bigint NOT NULL
);

CREATE TABLE snapshots (
	sequence_number bigint NOT NULL,
	persistence_id  text   COLLATE "C" NOT NULL,
	record          bytea  NOT NULL, -- ego.v1.Snapshot
	PRIMARY KEY (persistence_id, sequence_number)
);

-- The latest state of each entity.
CREATE TABLE states (
	revision       bigint  NOT NULL,
	position       bigint  NOT NULL,
	shard          integer NOT NULL,
	deleted        boolean NOT NULL,
	persistence_id text    COLLATE "C" PRIMARY KEY,
	kind           text    NOT NULL,
	record         bytea   NOT NULL, -- ego.v1.DurableState
	UNIQUE (shard, position)
) WITH (fillfactor = 80);

CREATE TABLE timers (
	due           bigint      NOT NULL, -- Unix nanoseconds
	version       bigint      NOT NULL,
	claimed_until timestamptz NOT NULL DEFAULT '-infinity',
	attempts      integer     NOT NULL DEFAULT 0,
	owner         text        COLLATE "C" NOT NULL,
	name          text        COLLATE "C" NOT NULL,
	record        bytea       NOT NULL, -- ego.v1.Timer
	PRIMARY KEY (owner, name)
);

CREATE INDEX timers_by_due ON timers (due, owner, name);

-- The first version of a timer is 2^24 times the next value, so that one that is set again after it was removed has a
-- version that none of its name had before.
CREATE SEQUENCE timer_versions MAXVALUE 549755813887;

CREATE TABLE leases (
	epoch    bigint      NOT NULL,
	expires  timestamptz NOT NULL,
	shard    integer     NOT NULL,
	consumer text        COLLATE "C" NOT NULL,
	owner    text        NOT NULL, -- empty when released
	PRIMARY KEY (consumer, shard)
) WITH (fillfactor = 50);

-- Epochs are given once for all consumers, so that none comes back after its consumer was deleted.
CREATE SEQUENCE lease_epochs;

CREATE TABLE offsets (
	position       bigint  NOT NULL,
	epoch          bigint  NOT NULL,
	time_unix_nano bigint  NOT NULL,
	shard          integer NOT NULL,
	consumer       text    COLLATE "C" NOT NULL,
	PRIMARY KEY (consumer, shard)
) WITH (fillfactor = 50);

CREATE TABLE dead_letters (
	position       bigint  NOT NULL,
	shard          integer NOT NULL,
	consumer       text    COLLATE "C" NOT NULL,
	persistence_id text    COLLATE "C" NOT NULL,
	record         bytea   NOT NULL, -- ego.v1.DeadLetter
	PRIMARY KEY (consumer, shard, position)
);

CREATE INDEX dead_letters_by_entity ON dead_letters (consumer, shard, persistence_id);

INSERT INTO migrations (version) VALUES (1);
