package ego

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/consumer"
)

func TestLettersError(t *testing.T) { // G12
	t.Parallel()
	require.NoError(t, lettersError("p", nil))
	err := lettersError("p", fmt.Errorf("%w: shard 3", consumer.ErrNoAnswer))
	require.ErrorIs(t, err, ErrTimeout)
	require.ErrorContains(t, err, `projection "p"`)
	require.ErrorContains(t, err, "the owner of the shard does not answer: shard 3")
	other := errors.New("other")
	err = lettersError("p", other)
	require.ErrorIs(t, err, other)
	require.NotErrorIs(t, err, ErrTimeout)
}
