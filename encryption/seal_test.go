package encryption_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actorkeep/ego/encryption"
)

func TestSeal(t *testing.T) {
	t.Parallel()

	t.Run("OpensWhatItSealed", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		for _, plaintext := range []string{"", "x", "a deposit", strings.Repeat("long", 10_000)} {
			sealed, keyID := seal(t, e, place("a", 1), plaintext)
			require.Len(t, sealed, len(plaintext)+encryption.Overhead)
			if len(plaintext) > 4 { // shorter ones may be there by chance
				require.NotContains(t, string(sealed), plaintext)
			}
			requireOpens(t, e, place("a", 1), keyID, sealed, plaintext)
		}
	})
	t.Run("AppendsToWhatItIsGiven", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		buffer := append(make([]byte, 0, 1_000), "before"...)
		sealed, keyID, err := e.Seal(t.Context(), place("a", 1), buffer, []byte("secret"))
		require.NoError(t, err)
		require.Equal(t, "before", string(sealed[:6]))
		opened, err := e.Open(t.Context(), place("a", 1), keyID, []byte("before "), sealed[6:])
		require.NoError(t, err)
		require.Equal(t, "before secret", string(opened))
	})
	t.Run("OpensInItsPlaceOnly", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		at := encryption.Record{Kind: encryption.TimerRecord, PersistenceID: "a", Number: 7, Name: "n", TypeURL: "t"}
		sealed, keyID := seal(t, e, &at, "secret")
		for name, move := range map[string]func(r *encryption.Record){
			"kind":     func(r *encryption.Record) { r.Kind = encryption.StateRecord },
			"number":   func(r *encryption.Record) { r.Number++ },
			"name":     func(r *encryption.Record) { r.Name = "m" },
			"type":     func(r *encryption.Record) { r.TypeURL = "u" },
			"boundary": func(r *encryption.Record) { r.Name, r.TypeURL = "nt", "" },
		} {
			moved := at
			move(&moved)
			requireSealed(t, e, &moved, keyID, sealed, encryption.ErrDamaged)
			require.NotEqual(t, at, moved, name)
		}
		other := at
		other.PersistenceID = "b"
		_, otherKey := seal(t, e, &other, "another's")
		requireSealed(t, e, &other, otherKey, sealed, encryption.ErrDamaged)
		requireSealed(t, e, &other, keyID, sealed, encryption.ErrUnknownKey)
		requireSealed(t, e, &at, "unknown", sealed, encryption.ErrUnknownKey)
		require.NoError(t, e.RotateDataKey(t.Context(), "a"))
		_, nextKey := seal(t, e, &at, "secret")
		requireSealed(t, e, &at, nextKey, sealed, encryption.ErrDamaged)
		requireOpens(t, e, &at, keyID, sealed, "secret")
	})
	t.Run("DamageIsAnError", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		sealed, keyID := seal(t, e, place("a", 1), "secret")
		for i := range sealed {
			damaged := append([]byte(nil), sealed...)
			damaged[i] ^= 0x40
			requireSealed(t, e, place("a", 1), keyID, damaged, encryption.ErrDamaged)
			requireSealed(t, e, place("a", 1), keyID, sealed[:i], encryption.ErrDamaged)
		}
		requireSealed(t, e, place("a", 1), keyID, append(sealed, 0), encryption.ErrDamaged)
	})
	t.Run("TwiceIsNeverTheSame", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		seen := make(map[string]bool)
		for range 1_000 {
			sealed, _ := seal(t, e, place("a", 1), "secret")
			require.False(t, seen[string(sealed)])
			seen[string(sealed)] = true
		}
	})
	t.Run("IsNoProtobufMessage", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		for range 100 {
			sealed, _ := seal(t, e, place("a", 1), "")
			require.Error(t, proto.Unmarshal(sealed, new(emptypb.Empty)), "a record that has lost its key id")
		}
	})
	t.Run("MessageKeyIsUsedWithinItsLimit", func(t *testing.T) {
		t.Parallel()
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore(), encryption.WithMessageLimit(3))
		uses := make(map[string]int)
		for i := range uint64(50) {
			sealed, keyID := seal(t, e, place("a", i), "secret")
			uses[string(sealed[1:17])]++
			requireOpens(t, e, place("a", i), keyID, sealed, "secret")
		}
		require.Len(t, uses, 17)
		for _, n := range uses {
			require.LessOrEqual(t, n, 3)
		}
	})
	t.Run("ProcessesDoNotShareMessageKeys", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		one, keyID := seal(t, encryption.NewAESEncryptor(keys), place("a", 1), "secret")
		two, sameKey := seal(t, encryption.NewAESEncryptor(keys), place("a", 2), "secret")
		require.Equal(t, keyID, sameKey)
		require.NotEqual(t, one[1:17], two[1:17])
	})
	t.Run("WithoutSealing", func(t *testing.T) {
		t.Parallel()
		keys := encryption.NewMemoryKeyStore()
		sealed, keyID := seal(t, encryption.NewAESEncryptor(keys), place("a", 1), "secret")
		e := encryption.NewAESEncryptor(keys, encryption.WithoutSealing())
		requireOpens(t, e, place("a", 1), keyID, sealed, "secret")
		plain, none, err := e.Seal(t.Context(), place("a", 2), []byte("x"), []byte("secret"))
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, "x", string(plain))
	})
}

// FuzzOpen opens what an attacker with access to the store could put there: it is an error or what was sealed in this
// place, never a panic and never another plaintext. The input says what is done to which of the sealed values, as each
// process of a fuzzer has keys of its own.
func FuzzOpen(f *testing.F) {
	e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
	const sealed = 4
	var values [sealed][]byte
	var keyID string
	for number := range values {
		values[number], keyID = seal(f, e, place("a", uint64(number)), strings.Repeat("p", number))
	}
	for which := range uint8(sealed) {
		f.Add(which, uint64(which), []byte(nil), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which)+1, []byte(nil), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which), []byte("x"), uint16(0), uint8(0), uint16(0))
		f.Add(which, uint64(which), []byte(nil), uint16(30), uint8(1), uint16(7))
	}
	f.Fuzz(func(t *testing.T, which uint8, number uint64, extra []byte, at uint16, flip uint8, cut uint16) {
		original := values[int(which)%sealed]
		value := append(append([]byte(nil), original...), extra...)
		value[int(at)%len(value)] ^= flip
		value = value[:len(value)-int(cut)%len(value)]
		plaintext, err := e.Open(t.Context(), place("a", number), keyID, nil, value)
		if err != nil {
			require.ErrorIs(t, err, encryption.ErrDamaged)
			require.Empty(t, plaintext)
			return
		}
		require.Equal(t, original, value, "it opened what nobody sealed")
		require.EqualValues(t, int(which)%sealed, number, "it opened what was sealed in another place")
		require.Equal(t, strings.Repeat("p", int(number)), string(plaintext))
	})
}
