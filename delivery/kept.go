package delivery

import (
	"sync"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// kept is a record in memory: the journal.Source of what Log.Consume appends.
type kept struct {
	header []byte
	codec  pipeline.Codec // of the body in the journal
	batch  *pipeline.Batch
	refs   atomic.Int32
	pool   *sync.Pool
}

// keptOf returns the record of a batch. The caller releases it.
func (l *Log) keptOf(b *pipeline.Batch) (*kept, error) {
	k := l.kept.Get().(*kept)
	r := record.Of(b)
	if e := b.Encoded(); e.Codec != pipeline.CodecNone && l.Capabilities().CanUse(e) {
		r = record.OfEncoded(b)
	}
	k.codec = r.Codec
	var err error
	if k.header, err = record.AppendHeader(k.header[:0], &r, l.keep); err != nil {
		l.kept.Put(k)
		return nil, err
	}
	k.batch, k.pool = b.Retain(), &l.kept
	k.refs.Store(1)
	return k, nil
}

// Retain implements journal.Source.
func (k *kept) Retain() { k.refs.Add(1) }

// Release implements journal.Source.
func (k *kept) Release() {
	if k.refs.Add(-1) == 0 {
		k.batch.Release()
		k.batch = nil
		k.pool.Put(k)
	}
}

// body returns what the journal has: the request, or the compressed bytes that it came in.
func (k *kept) body() []byte {
	if k.codec != pipeline.CodecNone {
		return k.batch.Encoded().Bytes
	}
	return k.batch.Bytes()
}

// record returns it as it is read from the journal. Its body is valid until Release.
func (k *kept) record() (record.Record, error) { return record.DecodeHeader(k.header, k.body()) }

// inMemory returns the record of an entry if it is in memory. The caller releases it.
func (d *Destination) inMemory(e journal.Entry) (*kept, bool) {
	source, ok := d.cursor.Source(e)
	if !ok {
		return nil, false
	}
	return source.(*kept), true
}

// whole returns the batch of a job of one record that is in memory, without a copy; nil
// if it has to be read, or is not what is expected.
func (d *Destination) whole(j *job) *pipeline.Batch {
	if len(j.entries) != 1 || j.parts != nil {
		return nil
	}
	k, ok := d.inMemory(j.entries[0])
	if !ok {
		return nil
	}
	defer k.Release()
	r, err := k.record()
	if err != nil || r.Signal != d.cfg.Signal {
		return nil
	}
	return k.batch.WithClient(r.Client)
}
