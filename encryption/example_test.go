package encryption_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/actorkeep/ego/encryption"
)

// masterKey stands for a secret of the program's configuration: 32 random bytes. A KMS is a [encryption.Wrapper] of its own.
func masterKey(id string) encryption.MasterKey {
	return encryption.MasterKey{ID: id, Secret: []byte("0123456789abcdef0123456789abcdef")}
}

// An engine calls an encryptor by itself, see ego.WithEncryption. Alone, it shows what it does.
func ExampleNewAESEncryptor() {
	ctx := context.Background()
	wrapper, err := encryption.NewLocalWrapper(masterKey("2026"))
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := encryption.NewMemoryKeyStore() // every store of ego is a key store, too
	encryptor := encryption.NewAESEncryptor(keys, encryption.WithWrapper(wrapper))

	place := encryption.Record{Kind: encryption.EventRecord, PersistenceID: "customer-7", Number: 1, TypeURL: "shop.v1.Registered"}
	sealed, keyID, err := encryptor.Seal(ctx, &place, nil, []byte("Ada, 12 Example Street"))
	fmt.Println(len(sealed)-len("Ada, 12 Example Street") == encryption.Overhead, err)

	plaintext, err := encryptor.Open(ctx, &place, keyID, nil, sealed)
	fmt.Println(string(plaintext), err)

	place.PersistenceID = "customer-8"
	_, err = encryptor.Open(ctx, &place, keyID, nil, sealed)
	fmt.Println("elsewhere:", errors.Is(err, encryption.ErrUnknownKey))

	place.PersistenceID = "customer-7"
	err = encryptor.BeginErasure(ctx, "customer-7") // the first step of Engine.EraseEntity
	fmt.Println("erased:", err)
	_, err = encryptor.Open(ctx, &place, keyID, nil, sealed)
	fmt.Println(errors.Is(err, encryption.ErrErased))
	// Output:
	// true <nil>
	// Ada, 12 Example Street <nil>
	// elsewhere: true
	// erased: <nil>
	// true
}

// A new master key takes the place of an old one. The pass may be cut off and called again; no journal is touched.
func ExampleRewrapKeys() {
	ctx := context.Background()
	keys := encryption.NewMemoryKeyStore()
	old, _ := encryption.NewLocalWrapper(masterKey("2025"))
	place := encryption.Record{Kind: encryption.EventRecord, PersistenceID: "customer-7", Number: 1}
	sealed, keyID, err := encryption.NewAESEncryptor(keys, encryption.WithWrapper(old)).Seal(ctx, &place, nil, []byte("Ada"))
	fmt.Println("sealed:", err)

	both, _ := encryption.NewLocalWrapper(masterKey("2026"), masterKey("2025"))
	fmt.Println(encryption.RewrapKeys(ctx, keys, both))
	fmt.Println(encryption.RewrapKeys(ctx, keys, both))

	next, _ := encryption.NewLocalWrapper(masterKey("2026"))
	plaintext, err := encryption.NewAESEncryptor(keys, encryption.WithWrapper(next)).Open(ctx, &place, keyID, nil, sealed)
	fmt.Println(string(plaintext), err)
	// Output:
	// sealed: <nil>
	// 1 <nil>
	// 0 <nil>
	// Ada <nil>
}
