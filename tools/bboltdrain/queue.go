package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"google.golang.org/protobuf/encoding/protowire"
)

// A queue is a file of the Collector's file_storage: one bucket, with the requests under
// their index in decimal digits, and what the queue knows of them:
//
//	"qmv0"            a PersistentMetadata, or in older versions
//	"ri", "wi", "di"  read and write index, and the indices that are being sent
//
// A request is in the queue from the read to the write index, or while it is being sent.
type queue struct {
	db   *bbolt.DB
	meta metadata
	// pending are the indices of requests that were not delivered; others are those
	// that the queue no longer refers to. Both are in order.
	pending, others []uint64
	missing         int // requests that the queue refers to and does not have
}

// metadata is what is needed of exporterhelper's PersistentMetadata.
type metadata struct {
	read, write uint64
	sending     []uint64
}

const lockTimeout = 2 * time.Second

// openQueue opens a file for reading.
func openQueue(path string) (*queue, error) {
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("another process uses the file; stop the Collector first: %w", err)
	}
	if err != nil {
		return nil, err
	}
	q := &queue{db: db}
	if err := q.read(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return q, nil
}

func (q *queue) read() (err error) {
	defer recoverDamage(&err)
	return q.db.View(q.load)
}

func (q *queue) close() error { return q.db.Close() }

var bucketName = []byte("default")

func (q *queue) load(tx *bbolt.Tx) error {
	b := tx.Bucket(bucketName)
	if b == nil {
		return errors.New(`expected the bucket "default" of the Collector's file_storage`)
	}
	if err := q.meta.load(b); err != nil {
		return err
	}
	referred := 0
	err := b.ForEach(func(k, v []byte) error {
		switch index, err := strconv.ParseUint(string(k), 10, 64); {
		case err != nil || v == nil: // another key
		case q.meta.refersTo(index):
			q.pending = append(q.pending, index)
			referred++
		default:
			q.others = append(q.others, index)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(q.pending)
	slices.Sort(q.others)
	if size := q.meta.size(); size > uint64(referred) {
		q.missing = int(min(size-uint64(referred), 1<<62))
	}
	return nil
}

// request returns a copy of the request at an index.
func (q *queue) request(index uint64) (wire []byte, err error) {
	err = q.db.View(func(tx *bbolt.Tx) error {
		item := tx.Bucket(bucketName).Get(strconv.AppendUint(nil, index, 10))
		body, err := unwrap(item)
		wire = slices.Clone(body)
		return err
	})
	return wire, err
}

func (m *metadata) refersTo(index uint64) bool {
	return index >= m.read && index < m.write || slices.Contains(m.sending, index)
}

func (m *metadata) size() uint64 {
	n := uint64(0)
	if m.write > m.read {
		n = m.write - m.read
	}
	return n + uint64(len(m.sending))
}

func (m *metadata) load(b *bbolt.Bucket) error {
	if current := b.Get([]byte("qmv0")); len(current) > 0 {
		if err := m.parse(current); err != nil {
			return fmt.Errorf("read the queue's metadata: %w", err)
		}
		return nil
	}
	return m.loadLegacy(b)
}

// Fields of PersistentMetadata.
const (
	fieldRead    = 3
	fieldWrite   = 4
	fieldSending = 5
)

func (m *metadata) parse(b []byte) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		value := b[n:]
		size := protowire.ConsumeFieldValue(num, typ, value)
		if size < 0 {
			return protowire.ParseError(size)
		}
		m.set(num, typ, value[:size])
		b = value[size:]
	}
	return nil
}

// set sets a field. value is complete.
func (m *metadata) set(num protowire.Number, typ protowire.Type, value []byte) {
	switch {
	case num == fieldSending && typ == protowire.BytesType: // packed
		list, _ := protowire.ConsumeBytes(value)
		for ; len(list) >= 8; list = list[8:] {
			m.sending = append(m.sending, binary.LittleEndian.Uint64(list))
		}
	case typ != protowire.Fixed64Type:
	case num == fieldSending:
		m.sending = append(m.sending, binary.LittleEndian.Uint64(value))
	case num == fieldRead:
		m.read = binary.LittleEndian.Uint64(value)
	case num == fieldWrite:
		m.write = binary.LittleEndian.Uint64(value)
	}
}

func (m *metadata) loadLegacy(b *bbolt.Bucket) error {
	for key, to := range map[string]*uint64{"ri": &m.read, "wi": &m.write} {
		switch v := b.Get([]byte(key)); {
		case len(v) >= 8:
			*to = binary.LittleEndian.Uint64(v)
		case len(v) > 0:
			return fmt.Errorf("read the queue's index %q: expected 8 bytes, found %d", key, len(v))
		}
	}
	list := b.Get([]byte("di"))
	if len(list) < 4 {
		return nil
	}
	count := uint64(binary.LittleEndian.Uint32(list))
	if list = list[4:]; uint64(len(list)) < count*8 {
		return fmt.Errorf("read the queue's list of requests being sent: expected %d, found %d bytes", count, len(list))
	}
	for ; count > 0; count-- {
		m.sending = append(m.sending, binary.LittleEndian.Uint64(list))
		list = list[8:]
	}
	return nil
}

// unwrap returns the request in an item. In newer versions an item may be a message with
// the context of the request, in fields that a request cannot have: 1 is a number of 32 bits,
// and 3 the request.
func unwrap(item []byte) ([]byte, error) {
	const version, request = 1, 3
	if num, typ, n := protowire.ConsumeTag(item); n < 0 || num != version || typ != protowire.Fixed32Type {
		return item, nil
	}
	var body []byte
	for len(item) > 0 {
		num, typ, n := protowire.ConsumeTag(item)
		if n < 0 {
			return nil, fmt.Errorf("read an item with a context: %w", protowire.ParseError(n))
		}
		value := item[n:]
		size := protowire.ConsumeFieldValue(num, typ, value)
		if size < 0 {
			return nil, fmt.Errorf("read field %d of an item with a context: %w", num, protowire.ParseError(size))
		}
		if num == request && typ == protowire.BytesType {
			body, _ = protowire.ConsumeBytes(value)
		}
		item = value[size:]
	}
	return body, nil
}

// expand replaces directories by the queues in them.
func expand(paths []string) (files []string, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		queues, err := queuesIn(path)
		if err != nil {
			return nil, err
		}
		files = append(files, queues...)
	}
	return files, nil
}

func queuesIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), "exporter_") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("list the queues in %s: expected files such as exporter_otlp__traces, found none", dir)
	}
	return files, nil
}

func lastUnderscore(name string) int { return strings.LastIndexByte(name, '_') }
