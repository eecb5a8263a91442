package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Record is one batch with what is kept of its client.
type Record struct {
	Signal otlp.Signal
	// Codec is that of Body.
	Codec pipeline.Codec
	// Plain is the length of the export request, and Single is that of pipeline.Encoded,
	// with a codec; else they are zero.
	Plain  int
	Single bool
	// Items is the number of spans, data points, log records or samples.
	Items int
	// Received is when the request was received, in nanoseconds and UTC. Zero is
	// unknown.
	Received time.Time
	// Client is who sent it; nil where the batch was made inside. Its Received is that
	// of the record.
	Client *pipeline.Client
	// Body is the export request, compressed with a codec.
	Body []byte
}

// MaxHeaderBytes bounds a record without its body.
const MaxHeaderBytes = 1 << 20

// maxEntries bounds the keys and values of a client together.
const maxEntries = 1 << 12

// Errors of Append and Decode.
var (
	// ErrTooLarge: what is to be kept of the client is more than a record holds.
	ErrTooLarge = errors.New("the record's header is too large")
	// ErrVersion: the record is of a later version.
	ErrVersion = errors.New("unknown version of the record format")
	// ErrCorrupt means that the bytes are not a record.
	ErrCorrupt = errors.New("the record is corrupt")
	// ErrUnknownCodec means that the record is compressed as only a later version does.
	ErrUnknownCodec = errors.New("unknown codec of a record")
)

// Keep lists what records keep of a client's metadata and identity. The zero Keep
// keeps its address, transport, format and subject, and nothing else.
type Keep struct {
	metadata, attributes []string // sorted
}

// NewKeep returns a Keep of request metadata and of an identity's attributes, both by
// key. Keys of metadata are compared in lower case.
func NewKeep(metadata, attributes []string) Keep {
	k := Keep{metadata: make([]string, 0, len(metadata)), attributes: slices.Clone(attributes)}
	for _, key := range metadata {
		k.metadata = append(k.metadata, strings.ToLower(key))
	}
	slices.Sort(k.metadata)
	slices.Sort(k.attributes)
	k.metadata, k.attributes = slices.Compact(k.metadata), slices.Compact(k.attributes)
	return k
}

// Of returns the record of a batch, whose bytes it shares.
func Of(b *pipeline.Batch) Record {
	r := Record{Signal: b.Signal(), Items: b.Items(), Client: b.Client(), Body: b.Bytes()}
	if r.Client != nil {
		r.Received = r.Client.Received
	}
	return r
}

// OfEncoded is Of for a batch that carries compressed bytes, which are the body.
func OfEncoded(b *pipeline.Batch) Record {
	r, e := Of(b), b.Encoded()
	r.Codec, r.Plain, r.Single, r.Body = e.Codec, len(r.Body), e.Single, e.Bytes
	return r
}

// Batch returns a new batch of the record's request, whose one reference is the
// caller's. It checks the bytes. Body belongs to the batch from then on.
func (r *Record) Batch() (*pipeline.Batch, error) {
	request, err := r.Request()
	if err != nil {
		return nil, err
	}
	// The receiver may have had another limit than the default.
	b, err := pipeline.NewBatchWithin(otlp.Limits{Depth: otlp.MaxDepth}, r.Signal, request, r.Client)
	if err != nil {
		return nil, fmt.Errorf("read a record of %s: %w", r.Signal, err)
	}
	if b.Items() != r.Items {
		defer b.Release()
		return nil, fmt.Errorf("read a record of %s: %w: it has %d items, its header says %d", r.Signal, ErrCorrupt, b.Items(), r.Items)
	}
	return b, nil
}
