package debugexporter

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// Requests of millions of empty scopes are not read to their end when the client does
// not wait for the answer.
func TestGroupsEndWithTheContext(t *testing.T) {
	t.Parallel()
	const n = 20_000
	request := bytes.Repeat([]byte{0x0a, 0}, n)
	count := func(ctx context.Context) (found int) {
		for range groups(ctx, request) {
			found++
		}
		return found
	}
	if got := count(t.Context()); got != n {
		t.Errorf("%d groups, want %d", got, n)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("gone"))
	if got := count(ctx); got >= n/2 {
		t.Errorf("%d of %d groups after the end of the context", got, n)
	}
}
