// Package encryption seals what ego stores of an entity, so that only who has the entity's key can read it, and makes the
// entity unreadable for ever once that key is destroyed.
//
//	keys := store // every ego store is a KeyStore; or NewMemoryKeyStore()
//	wrapper, err := encryption.NewLocalWrapper(encryption.MasterKey{ID: "2026", Secret: secret})
//	…
//	engine := ego.NewEngine("bank", store, ego.WithEncryption(
//		encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper))))
//
// # Keys
//
//	master key     in a KMS or in the program's configuration; never stored by ego
//	  └ wraps      data key: 256 random bits, one or more per entity, stored wrapped in the KeyStore
//	      └ makes  message key: HKDF-SHA256 of the data key and a random 128-bit salt; never stored
//	          └ seals  a record: AES-256-GCM with a random 96-bit nonce
//
// A data key is made when the first record of its entity is sealed. The newest one seals; all of them open. A random nonce
// must not be used for more than 2^32 messages of one AES key, and processes that share a data key cannot count theirs
// together without a write for each. So no data key seals anything itself: every process makes a message key of its own for
// as long as the data key is in its cache, and the next one after [WithMessageLimit] messages, by default 2^30. The salt
// is stored with each sealed record.
//
// # What is sealed
//
// The value of the payload of events, of the states in snapshots and durable states, and of the payloads of timers. Each
// is bound to its place ([Record]): the entity, the number, the type url, the sort of record and the key id are associated
// data, so what was sealed in one place opens in no other. The record names its key in key_id. A sealed value begins with a
// byte that begins no protobuf message: if its key id is lost, it is an error and never a message.
//
// Not sealed, because stores, fences and consumers work with them: entity ids, kinds, sequence numbers and revisions,
// shards and positions, times, type urls, schema versions, command, correlation and causation ids, trace contexts, tags,
// user metadata, writer ids, the command ids and revisions of dedup windows, the names, kinds and due times of timers, and
// the reasons of dead letters, which are the texts of errors of handlers. The event in a dead letter is sealed as in the
// journal. The length of a payload shows as well. Put nothing personal into ids, tags, metadata and errors.
// Records that were stored before encryption was turned on stay as they are, and readable.
//
// # Erasure
//
// [Erasures.BeginErasure] destroys all keys of an entity and leaves a mark in the same transaction that no key can be added
// over. An encryptor keeps what it read of a key store for at most [WithCacheTime], a minute by default, measured from the
// beginning of the read; so by then no process can open or seal anything of an erased entity, and the process that erased
// it cannot at once. Backups of the key store keep old keys readable for whoever has the master key: keep
// them for no longer than an erasure may take.
//
// Go can neither lock nor surely clear memory: what a process had in its cache may stay in its memory, unreferenced, until
// the memory is used again.
//
// # Rotation
//
// A new master key: give [NewLocalWrapper] the new one first and the old one as a former, in every process; then run
// [RewrapKeys] until it has nothing left; then drop the old one. Nothing of the journals changes. A new data key:
// [AESEncryptor.RotateDataKey]; records from then on use it, and the old ones stay readable.
//
// # Turning it off
//
// An engine that is to write plain records again needs the keys still, to open the old ones: give it an encryptor with
// [WithoutSealing].
package encryption
