package record

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var update = flag.Bool("update", false, "write the golden records")

// received is a time with nanoseconds.
var received = time.Date(2026, 11, 30, 1, 2, 3, 456789, time.UTC)

// request is a request of traces with two spans.
func request(t testing.TB) []byte {
	t.Helper()
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	for _, name := range []string{"GET /", "GET /checkout"} {
		s := ss.AddSpans()
		s.SetName(name)
		s.Close()
	}
	ss.Close()
	rs.Close()
	return e.Buf
}

func client() *pipeline.Client {
	return &pipeline.Client{
		Addr: "192.0.2.1:4711", Transport: "grpc", Format: "protobuf", Received: received,
		Metadata: map[string][]string{
			"x-tenant": {"blue", "green"}, "x-request-id": {"17"}, "authorization": {"Bearer s3cret"}, "cookie": {"session=s3cret"},
		},
		Identity: &pipeline.Identity{Subject: "checkout", Attributes: map[string]string{"team": "shop", "raw_token": "s3cret"}},
	}
}

// The golden records are what this version writes, to the byte: what was written by
// it must be read by all that follow.
var golden = map[string]struct {
	record func(t testing.TB) Record
	keep   Keep
}{
	"inside": {record: func(t testing.TB) Record {
		return Record{Signal: otlp.Metrics, Body: []byte{}}
	}},
	"client": {record: func(t testing.TB) Record {
		return Record{Signal: otlp.Traces, Items: 2, Received: received, Client: client(), Body: request(t)}
	}},
	"metadata": {keep: NewKeep([]string{"X-Tenant", "x-missing", "x-tenant"}, []string{"team"}), record: func(t testing.TB) Record {
		return Record{Signal: otlp.Traces, Items: 2, Received: received, Client: client(), Body: request(t)}
	}},
	"compressed": {record: func(t testing.TB) Record {
		return Record{Signal: otlp.Profiles, Codec: pipeline.CodecZstd, Single: true, Items: 300, Received: received, Client: &pipeline.Client{Received: received}, Body: []byte("(\xb5/\xfd")}
	}},
	"one-frame": {record: func(t testing.TB) Record {
		return Record{Signal: otlp.Traces, Codec: pipeline.CodecZstd, Plain: 4000, Single: true, Items: 2, Received: received, Body: []byte("(\xb5/\xfd")}
	}},
	"several-members": {record: func(t testing.TB) Record {
		return Record{Signal: otlp.Traces, Codec: pipeline.CodecGzip, Plain: len(request(t)), Items: 2, Body: append(gzipped(request(t)[:7]), gzipped(request(t)[7:])...)}
	}},
}

// gzipped is a member with stored blocks, whose bytes no version of an encoder changes.
func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, gzip.NoCompression)
	_, _ = w.Write(b) // a bytes.Buffer takes all
	_ = w.Close()
	return buf.Bytes()
}

func encoded(t testing.TB, r Record, keep Keep) []byte {
	t.Helper()
	b, err := Append(nil, &r, keep)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, c := range golden {
		file := filepath.Join("testdata", name+".record")
		got := encoded(t, c.record(t), c.keep)
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: wrote\n%q, the golden record is\n%q", name, got, want)
		}
		read, err := Decode(want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(kept(c.record(t), c.keep), read); diff != "" {
			t.Errorf("%s: read back (-want +got):\n%s", name, diff)
		}
		r := c.record(t)
		header, err := AppendHeader(nil, &r, c.keep)
		if err != nil {
			t.Fatal(err)
		}
		apart, err := DecodeHeader(header, r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(read, apart); diff != "" {
			t.Errorf("%s: read with the body apart (-want +got):\n%s", name, diff)
		}
	}
}

// kept is what is left of a record.
func kept(r Record, keep Keep) Record {
	if r.Client == nil {
		return r
	}
	c := *r.Client
	c.Received = r.Received
	c.Metadata = nil
	for _, key := range keep.metadata {
		if v := r.Client.Metadata[key]; len(v) > 0 {
			if c.Metadata == nil {
				c.Metadata = map[string][]string{}
			}
			c.Metadata[key] = v
		}
	}
	if r.Client.Identity != nil {
		id := pipeline.Identity{Subject: r.Client.Identity.Subject}
		for _, key := range keep.attributes {
			if v, ok := r.Client.Identity.Attributes[key]; ok {
				if id.Attributes == nil {
					id.Attributes = map[string]string{}
				}
				id.Attributes[key] = v
			}
		}
		c.Identity = &id
	}
	r.Client = &c
	return r
}

// Credentials are written only where a key names them.
func TestCredentialsAreNotKept(t *testing.T) {
	t.Parallel()
	r := Record{Signal: otlp.Traces, Client: client()}
	for _, keep := range []Keep{{}, NewKeep([]string{"x-tenant", "x-request-id", "*", ""}, []string{"team", "*", ""})} {
		if b := encoded(t, r, keep); bytes.Contains(b, []byte("s3cret")) {
			t.Errorf("%+v keeps a credential: %q", keep, b)
		}
	}
	for _, keep := range []Keep{NewKeep([]string{"Authorization"}, nil), NewKeep(nil, []string{"raw_token"})} {
		if b := encoded(t, r, keep); bytes.Count(b, []byte("s3cret")) != 1 {
			t.Errorf("%+v does not keep what it names: %q", keep, b)
		}
	}
}

// A batch comes back as it was.
func TestBatch(t *testing.T) {
	t.Parallel()
	b, err := pipeline.NewBatch(otlp.Traces, request(t), client())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	keep := NewKeep([]string{"x-tenant"}, nil)
	r, err := Decode(encoded(t, Of(b), keep))
	if err != nil {
		t.Fatal(err)
	}
	back, err := r.Batch()
	if err != nil {
		t.Fatal(err)
	}
	defer back.Release()
	if back.Signal() != otlp.Traces || back.Items() != 2 || !bytes.Equal(back.Bytes(), b.Bytes()) {
		t.Errorf("got %s, %d items, %d bytes", back.Signal(), back.Items(), len(back.Bytes()))
	}
	if diff := cmp.Diff(kept(Of(b), keep).Client, back.Client()); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
	for what, broken := range map[string]Record{
		"not compressed":   {Signal: otlp.Traces, Codec: pipeline.CodecGzip, Plain: len(request(t)), Items: 2, Body: request(t)},
		"other items":      {Signal: otlp.Traces, Items: 3, Body: request(t)},
		"no request":       {Signal: otlp.Traces, Body: []byte("x")},
		"later compressed": {Signal: otlp.Traces, Codec: 200, Plain: len(request(t)), Items: 2, Body: request(t)},
	} {
		if b, err := broken.Batch(); err == nil {
			b.Release()
			t.Errorf("%s: it became a batch", what)
		}
	}
}

// What a later version adds is skipped.
func TestUnknownFieldsAreSkipped(t *testing.T) {
	t.Parallel()
	later := []byte{version}
	e := wire.Encoder{Buf: later}
	e.Varint(14, 1<<40)
	e.String(900, "x")
	e.Fixed64(16, 1)
	e.Varint(fieldSignal, uint64(otlp.Logs))
	e.Varint(fieldItems, 7)
	mark := e.Open(fieldClient)
	e.Varint(30, 1)
	e.String(31, "y")
	e.String(fieldAddr, "192.0.2.1:5")
	identity := e.Open(fieldIdentity)
	e.String(9, "z")
	e.String(fieldSubject, "me")
	e.Close(identity)
	e.Close(mark)
	e.String(fieldBody, "abc")
	got, err := Decode(e.Buf)
	if err != nil {
		t.Fatal(err)
	}
	want := Record{Signal: otlp.Logs, Items: 7, Body: []byte("abc"),
		Client: &pipeline.Client{Addr: "192.0.2.1:5", Identity: &pipeline.Identity{Subject: "me"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	with := func(add func(e *wire.Encoder)) []byte {
		e := wire.Encoder{Buf: []byte{version}}
		e.Varint(fieldSignal, 1)
		add(&e)
		e.String(fieldBody, "")
		return e.Buf
	}
	for what, c := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing":          {nil, ErrCorrupt},
		"a later version":  {[]byte{2, 0x08, 1}, ErrVersion},
		"no signal":        {[]byte{version, 0x7a, 0}, ErrCorrupt},
		"signal 9":         {[]byte{version, 0x08, 9, 0x7a, 0}, ErrCorrupt},
		"signal 257":       {[]byte{version, 0x08, 0x81, 2, 0x7a, 0}, ErrCorrupt},
		"no body":          {[]byte{version, 0x08, 1}, ErrCorrupt},
		"body cut off":     {[]byte{version, 0x08, 1, 0x7a, 5, 'a'}, ErrCorrupt},
		"items beyond int": {with(func(e *wire.Encoder) { e.Varint(fieldItems, 1<<63) }), ErrCorrupt},
		"text for items":   {with(func(e *wire.Encoder) { e.String(fieldItems, "3") }), ErrCorrupt},
		"too many entries": {with(func(e *wire.Encoder) {
			mark := e.Open(fieldClient)
			for range maxEntries/2 + 1 {
				entry := e.Open(fieldMetadata)
				e.String(fieldKey, "k")
				e.String(fieldValue, "")
				e.Close(entry)
			}
			e.Close(mark)
		}), ErrTooLarge},
		"too long": {with(func(e *wire.Encoder) {
			mark := e.Open(fieldClient)
			e.String(fieldAddr, strings.Repeat("x", MaxHeaderBytes+1))
			e.Close(mark)
		}), ErrTooLarge},
	} {
		if _, err := Decode(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	many := make([]string, maxEntries)
	for what, c := range map[string]struct {
		r    Record
		want error
	}{
		"no signal":      {Record{}, ErrCorrupt},
		"negative items": {Record{Signal: otlp.Logs, Items: -1}, ErrCorrupt},
		"long values":    {Record{Signal: otlp.Logs, Client: &pipeline.Client{Metadata: map[string][]string{"k": {strings.Repeat("x", MaxHeaderBytes)}}}}, ErrTooLarge},
		"many values":    {Record{Signal: otlp.Logs, Client: &pipeline.Client{Metadata: map[string][]string{"k": many}}}, ErrTooLarge},
	} {
		before := []byte("before")
		if b, err := Append(before, &c.r, NewKeep([]string{"k"}, nil)); !errors.Is(err, c.want) || string(b) != "before" {
			t.Errorf("%s: %q, %v, want %v", what, b, err, c.want)
		}
	}
}

// Writing takes nothing but the room in the caller's buffer.
func TestAppendAllocatesNothing(t *testing.T) {
	r := Record{Signal: otlp.Traces, Items: 2, Received: received, Client: client(), Body: request(t)}
	keep := NewKeep([]string{"x-tenant", "authorization"}, []string{"team"})
	buf := encoded(t, r, keep)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Append(buf[:0], &r, keep); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%.1f allocations", n)
	}
}

// all keeps everything that a record has.
func all(c *pipeline.Client) (k Keep) {
	if c == nil {
		return k
	}
	k.metadata = slices.Sorted(maps.Keys(c.Metadata))
	if c.Identity != nil {
		k.attributes = slices.Sorted(maps.Keys(c.Identity.Attributes))
	}
	return k
}

// Any bytes are read without a panic and without taking more memory than they have;
// what is read is written and read again as it was.
func FuzzDecode(f *testing.F) {
	for _, c := range golden {
		f.Add(encoded(f, c.record(f), c.keep))
	}
	f.Add([]byte{version, 0x08, 1, 0x2a, 4, 0x2a, 2, 0x0a, 0, 0x7a, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Decode(b)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20+64*uint64(len(b)) {
			t.Fatalf("%d bytes were allocated for %d", n, len(b))
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		again, err := Decode(encoded(t, r, all(r.Client)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("read again (-first +second):\n%s", diff)
		}
		var memory charged
		request, err := r.Decompress(nil, &memory)
		switch {
		case r.Codec == pipeline.CodecNone:
		case err == nil && len(*request) != r.Plain:
			t.Fatalf("%d bytes after decompression, the record says %d", len(*request), r.Plain)
		case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnknownCodec) && !errors.Is(err, errNoMemory):
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

var errNoMemory = errors.New("no memory")

// charged counts the memory that is reserved, up to 64 MiB.
type charged int

func (c *charged) Reserve(total int) error {
	if total > 64<<20 {
		return errNoMemory
	}
	*c = max(*c, charged(total))
	return nil
}

// A record with a codec becomes the request that it came from, or an error, never
// something else; memory is asked for before it is taken.
func TestDecompress(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat(request(t), 100)
	good := Record{Signal: otlp.Traces, Codec: pipeline.CodecGzip, Plain: len(want), Body: append(gzipped(want[:100]), gzipped(want[100:])...)}
	var memory charged
	got, err := good.Decompress(nil, &memory)
	if err != nil || !bytes.Equal(*got, want) || int(memory) < len(want)+len(good.Body) {
		t.Errorf("%d bytes, %d reserved: %v", len(want), memory, err)
	}
	for what, change := range map[string]func(r *Record){
		"a byte is flipped":  func(r *Record) { r.Body[len(r.Body)/2] ^= 1 },
		"cut off":            func(r *Record) { r.Body = r.Body[:len(r.Body)-1] },
		"without the second": func(r *Record) { r.Body = gzipped(want[:100]) },
		"a byte more":        func(r *Record) { r.Body = append(r.Body, 0) },
		"shorter":            func(r *Record) { r.Plain-- },
		"longer":             func(r *Record) { r.Plain++ },
		"another codec":      func(r *Record) { r.Codec = pipeline.CodecZstd },
		"nothing":            func(r *Record) { r.Body = nil },
	} {
		bad := good
		bad.Body = slices.Clone(good.Body)
		change(&bad)
		if _, err := bad.Decompress(nil, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	memory = 0
	good.Plain, good.Body = 65<<20, gzipped(make([]byte, 65<<20))
	if _, err := good.Decompress(nil, &memory); !errors.Is(err, errNoMemory) || errors.Is(err, ErrCorrupt) {
		t.Errorf("without memory: %v", err)
	}
}

// What is written is read as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint8(1), uint8(0), 0, false, 2, int64(1), "192.0.2.1:5", "grpc", "me", "x-tenant", "blue", "green", []byte("body"))
	f.Add(uint8(4), uint8(2), 1000, true, 0, int64(-1), "", "", "", "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, signal, codec uint8, plain int, single bool, items int, nanos int64, addr, transport, subject, key, one, other string, body []byte) {
		r := Record{Signal: otlp.Signal(signal), Codec: pipeline.Codec(codec), Plain: plain, Single: single, Items: items, Received: time.Unix(0, nanos).UTC(), Body: body,
			Client: &pipeline.Client{Addr: addr, Transport: transport, Metadata: map[string][]string{key: {one, other}, key + "2": {other}},
				Identity: &pipeline.Identity{Subject: subject, Attributes: map[string]string{key: one, other: key}}}}
		b, err := Append(nil, &r, all(r.Client))
		if err != nil {
			return
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		r.Client.Received = r.Received
		if r.Codec == pipeline.CodecNone {
			r.Plain, r.Single = 0, false
		}
		if r.Body == nil {
			r.Body = []byte{}
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	r := Record{Signal: otlp.Traces, Items: 2, Received: received, Client: client(), Body: make([]byte, 5800)}
	keep := NewKeep([]string{"x-tenant"}, nil)
	buf := encoded(b, r, keep)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Append(buf[:0], &r, keep); err != nil {
			b.Fatal(err)
		}
	}
}

// A record is read with values as deep as any receiver may have accepted.
func TestBatchOfDeepValues(t *testing.T) {
	t.Parallel()
	var value []byte
	for range otlp.MaxDepth/2 - 1 {
		value = wire.AppendBytes(nil, otlpfield.AnyValueArrayValue, wire.AppendBytes(nil, otlpfield.ArrayValueValues, value))
	}
	body := value
	for _, num := range []uint32{otlpfield.LogRecordBody, otlpfield.ScopeXItems, otlpfield.ResourceXScopes, otlpfield.RequestResources} {
		body = wire.AppendBytes(nil, num, body)
	}
	if _, err := otlp.Check(otlp.Logs, body); err == nil {
		t.Fatal("the default limit accepts it")
	}
	r := Record{Signal: otlp.Logs, Items: 1, Body: body}
	b, err := r.Batch()
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
}
