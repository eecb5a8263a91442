package reporter

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"time"
	"unique"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// ConvertPprof returns the requests that a profile becomes: the same for the same
// profile, and complete. Of cfg, the scope (Name, Version), Resource, StringReferences and
// MaxRequestBytes count. A time that the profile and m do not have is unknown in the
// result.
func ConvertPprof(ctx context.Context, p *profile.Profile, m PprofMeta, cfg OTLPConfig) ([][]byte, error) {
	var kept requestCopies
	r, err := NewOTLP(OTLPConfig{
		Consumer: &kept, Name: cfg.Name, Version: cfg.Version, Resource: cfg.Resource,
		StringReferences: cfg.StringReferences, MaxRequestBytes: cfg.MaxRequestBytes, MaxPendingBytes: int(min(2*int64(cfg.MaxRequestBytes), math.MaxInt32)),
		MaxWindowBytes: maxConvertWindowBytes,
		ReportInterval: 24 * time.Hour, // Shutdown sends the report
		hashStack:      frameNumbers{}.hash,
	})
	if err != nil {
		return nil, err
	}
	if m.Start.IsZero() {
		m.Start = time.Unix(0, 0)
	}
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	reportErr := r.ReportPprof(ctx, p, m)
	if err := r.Shutdown(ctx); err != nil {
		return nil, err
	}
	if reportErr != nil {
		return nil, reportErr
	}
	if s := r.Stats().Samples; s.Acknowledged != s.Reported {
		return nil, fmt.Errorf("convert a pprof profile: %d of %d values dropped: %v", s.Reported-s.Acknowledged, s.Reported, s.Dropped)
	}
	return kept.requests, nil
}

// maxConvertWindowBytes is a window that is larger than any profile, so that a profile
// becomes one request if that is allowed.
const maxConvertWindowBytes = math.MaxInt32

// frameNumbers makes the order of samples, which is by the hash of their stacks, that of
// the profile: addresses and seeds of hashes differ from run to run.
type frameNumbers map[unique.Handle[libpf.Frame]]uint64

func (n frameNumbers) hash(frames libpf.Frames) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h := uint64(len(frames))
	for _, f := range frames {
		number, ok := n[f]
		if !ok {
			number = uint64(len(n) + 1)
			n[f] = number
		}
		h = bits.RotateLeft64((h^number)*prime, 31)
	}
	return h * prime
}

// requestCopies keeps copies of the requests.
type requestCopies struct {
	mu       sync.Mutex
	requests [][]byte
}

func (*requestCopies) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (k *requestCopies) Consume(_ context.Context, b *pipeline.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests = append(k.requests, bytes.Clone(b.Bytes()))
	return nil
}
