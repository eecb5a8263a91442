package delivery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// long is a body that compresses well.
func long(i int) string { return fmt.Sprint(strings.Repeat("telemetry ", 1000), i) }

// codecsOf are the codecs in which requests came to the backend, in the order of the first
// numbers in their bodies.
func (d *backend) codecsOf() (codecs []pipeline.Codec) {
	d.mu.Lock()
	defer d.mu.Unlock()
	order := map[string]pipeline.Codec{}
	var firsts []string
	for i, e := range d.encoded {
		first := bodiesOf(d.requests[i])[0]
		firsts = append(firsts, first)
		order[first] = e.Codec
	}
	slices.Sort(firsts)
	for _, first := range firsts {
		codecs = append(codecs, order[first])
	}
	return codecs
}

// A request that came in a codec that the destination can use is in the journal in its
// compressed bytes, and arrives with them and with its request: from memory, from the disk,
// and after a restart. Else it is as if it had not been compressed. The ledger counts what it
// was before compression.
func TestCompressedAsItCame(t *testing.T) {
	t.Parallel()
	for _, codec := range testkit.Codecs() {
		for name, can := range map[string]pipeline.Capabilities{
			"all":    {Codecs: pipeline.AllCodecs()},
			"this":   {Codecs: pipeline.CodecsOf(codec)},
			"others": {Codecs: pipeline.AllCodecs() &^ pipeline.CodecsOf(codec)},
			"none":   {},
		} {
			want := pipeline.CodecNone
			if can.Codecs.Has(codec) {
				want = codec
			}
			t.Run(fmt.Sprint(codec, "/", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, dir := &backend{can: can}, disk(t, vfs.NewMem(16<<20))
					p := open(t, dir, DestinationConfig{Next: b})
					for i := range 3 {
						if err := p.consumeIn(codec, "", long(i)); err != nil {
							t.Fatal(err)
						}
					}
					if l := p.balanced(); l.HeldBytes < 30000 || l.HeldBytes > 31000 {
						t.Errorf("%d bytes are held", l.HeldBytes)
					}
					if n := p.j.Stats().Written; (want != pipeline.CodecNone) != (n < 10000) {
						t.Errorf("%d bytes in the journal", n)
					}
					p.dest.Start() // from memory
					synctest.Wait()
					p.end()
					p = open(t, dir, DestinationConfig{Next: b})
					for i := 3; i < 6; i++ {
						if err := p.consumeIn(codec, "", long(i)); err != nil {
							t.Fatal(err)
						}
					}
					if p.log.Capabilities() != can {
						t.Errorf("the log can use %+v", p.log.Capabilities())
					}
					p.end() // before it was started
					p = open(t, dir, DestinationConfig{Next: b})
					p.dest.Start()
					synctest.Wait()
					p.balanced()
					p.end()
					if different, again := b.has(); different != 6 || again != 0 || len(b.unequal) > 0 {
						t.Errorf("%d bodies arrived, %d of them again, %v", different, again, b.unequal)
					}
					if want == pipeline.CodecNone { // they were merged
						return
					}
					if got := b.codecsOf(); !slices.Equal(got, slices.Repeat([]pipeline.Codec{want}, 6)) {
						t.Errorf("arrived in %v, want %s", got, want)
					}
				})
			})
		}
	}
}

// Requests are merged in their compressed bytes if the destination reads several members,
// all have the same codec, and it allows that. Where merging was asked for, it goes before.
func TestJoined(t *testing.T) {
	t.Parallel()
	const none, gzip, zstd, zlib = pipeline.CodecNone, pipeline.CodecGzip, pipeline.CodecZstd, pipeline.CodecZlib
	members := pipeline.Capabilities{Codecs: pipeline.AllCodecs(), Members: pipeline.AllCodecs()}
	for name, c := range map[string]struct {
		can   pipeline.Capabilities
		merge Merge
		sent  []pipeline.Codec
		want  []pipeline.Codec // of the requests that arrive
	}{
		"members":                         {members, Merge{}, []pipeline.Codec{gzip, gzip, gzip}, []pipeline.Codec{gzip}},
		"frames":                          {members, Merge{}, []pipeline.Codec{zstd, zstd, zstd}, []pipeline.Codec{zstd}},
		"no members":                      {pipeline.Capabilities{Codecs: pipeline.AllCodecs()}, Merge{}, []pipeline.Codec{gzip, gzip}, []pipeline.Codec{gzip, gzip}},
		"members of another":              {pipeline.Capabilities{Codecs: pipeline.AllCodecs(), Members: pipeline.CodecsOf(zstd)}, Merge{}, []pipeline.Codec{gzip, gzip, zstd, zstd}, []pipeline.Codec{gzip, gzip, zstd}},
		"a codec without members":         {members, Merge{}, []pipeline.Codec{zlib, zlib}, []pipeline.Codec{zlib, zlib}},
		"mixed":                           {members, Merge{}, []pipeline.Codec{gzip, gzip, zstd, zstd, none, none}, []pipeline.Codec{gzip, zstd, none}},
		"asked for":                       {members, Merge{MaxItems: 100}, []pipeline.Codec{gzip, gzip, gzip}, []pipeline.Codec{gzip}},
		"asked for, mixed":                {members, Merge{MaxItems: 100}, []pipeline.Codec{gzip, zstd, none}, []pipeline.Codec{none}},
		"asked for, no members":           {pipeline.Capabilities{Codecs: pipeline.AllCodecs()}, Merge{MaxItems: 100}, []pipeline.Codec{gzip, gzip}, []pipeline.Codec{none}},
		"asked for, one has enough items": {pipeline.Capabilities{Codecs: pipeline.AllCodecs()}, Merge{MaxItems: 1}, []pipeline.Codec{gzip, gzip}, []pipeline.Codec{gzip, gzip}},
	} {
		for _, fromDisk := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/from disk ", fromDisk), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, dir := &backend{can: c.can}, disk(t, vfs.NewMem(16<<20))
					cfg := DestinationConfig{Next: b, Merge: c.merge}
					p := open(t, dir, cfg)
					for i, codec := range c.sent {
						if err := p.consumeIn(codec, "", long(i)); err != nil {
							t.Fatal(err)
						}
					}
					if fromDisk {
						p.end()
						p = open(t, dir, cfg)
					}
					p.dest.Start()
					synctest.Wait()
					p.balanced()
					p.end()
					if got := b.codecsOf(); !slices.Equal(got, c.want) {
						t.Errorf("arrived in %v, want %v", got, c.want)
					}
					if different, again := b.has(); different != len(c.sent) || again != 0 || len(b.unequal) > 0 {
						t.Errorf("%d bodies arrived, %d of them again, %v", different, again, b.unequal)
					}
					for i, e := range b.encoded {
						if several := len(bodiesOf(b.requests[i])) > 1; e.Codec != none && e.Single == several {
							t.Errorf("a request of several is %t, Single is %t", several, e.Single)
						}
					}
				})
			})
		}
	}
}

// Small requests are merged also if that means to compress them again: they cost less.
func TestSmallOnesAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{can: pipeline.Capabilities{Codecs: pipeline.AllCodecs()}}
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b})
		for i := range 10 {
			if err := p.consumeIn(pipeline.CodecGzip, "", fmt.Sprint(strings.Repeat("x", 100), i)); err != nil {
				t.Fatal(err)
			}
		}
		p.dest.Start()
		synctest.Wait()
		p.end()
		if sizes := b.sizes(); !slices.Equal(sizes, []int{10}) {
			t.Errorf("requests of %v records", sizes)
		}
	})
}

// The parts of a request have no compressed bytes: the exporter compresses them. Its dead
// letters are what they say.
func TestPartsOfCompressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{can: pipeline.Capabilities{Codecs: pipeline.AllCodecs(), Members: pipeline.AllCodecs()}}
		b.respond(func(_ int, bodies []string) error {
			if len(bodies) > 2 {
				return tooLarge(bodies, 2*len(long(0)), true)
			}
			if slices.Contains(bodies, long(3)) {
				return permanent(codes.InvalidArgument)
			}
			return nil
		})
		dir := disk(t, vfs.NewMem(16<<20))
		for range 2 { // from memory, and from the disk
			p := open(t, dir, DestinationConfig{Next: b})
			if err := p.consumeIn(pipeline.CodecGzip, "", long(0), long(1), long(2), long(3), long(4)); err != nil {
				t.Fatal(err)
			}
			p.dest.Start()
			synctest.Wait()
			time.Sleep(time.Minute)
			if l := p.balanced(); l.Held != 0 || l.DeadLettered == 0 {
				t.Errorf("%+v", l)
			}
			if dead := p.dead(); !slices.Contains(dead, long(3)) {
				t.Errorf("%d dead letters", len(dead))
			}
			if err := p.consumeIn(pipeline.CodecGzip, "", long(3)); err != nil { // as a whole
				t.Fatal(err)
			}
			synctest.Wait()
			p.end()
			p = open(t, dir, DestinationConfig{Next: b})
			if err := p.consumeIn(pipeline.CodecZstd, "", long(0), long(1), long(2), long(3), long(4)); err != nil {
				t.Fatal(err)
			}
			p.end()
		}
		if len(b.unequal) > 0 {
			t.Error(b.unequal)
		}
		for i, r := range b.requests {
			if whole := len(bodiesOf(r)) == 5 || len(bodiesOf(r)) == 1 && bodiesOf(r)[0] == long(3) && b.encoded[i].Codec != pipeline.CodecNone; b.encoded[i].Codec != pipeline.CodecNone && !whole {
				t.Errorf("a part of %d records has compressed bytes", len(bodiesOf(r)))
			}
		}
	})
}

// What a dead letter has of a compressed request is what its sender sent.
func TestDeadLetterOfCompressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{can: pipeline.Capabilities{Codecs: pipeline.AllCodecs()}}
		b.respond(func(int, []string) error { return permanent(codes.InvalidArgument) })
		letters := openLetters(t, disk(t, vfs.NewMem(64<<20)))
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, DeadLetters: letters.Add})
		for _, codec := range testkit.Codecs() {
			if err := p.consumeIn(codec, "", long(int(codec))); err != nil {
				t.Fatal(err)
			}
		}
		p.dest.Start()
		synctest.Wait()
		p.end()
		found := map[pipeline.Codec]bool{}
		err := letters.List(t.Context(), func(l StoredLetter) bool {
			r, err := record.Decode(l.Record)
			if err != nil {
				t.Fatal(err)
			}
			request, err := r.Request()
			if err != nil || bodiesOf(request)[0] != long(int(r.Codec)) {
				t.Errorf("%s: %v", r.Codec, err)
			}
			found[r.Codec] = true
			return true
		})
		if err != nil || len(found) != len(testkit.Codecs()) {
			t.Errorf("letters in %d codecs, %v", len(found), err)
		}
		if err := letters.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Whatever bit of a journal is altered: what arrives is what was sent, in the same
// compressed bytes, and what does not arrive is counted as damaged.
func TestFlippedBitsOfCompressed(t *testing.T) {
	can := pipeline.Capabilities{Codecs: pipeline.AllCodecs()}
	var image *vfs.Mem
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(16 << 20)
		p := open(t, disk(t, m), DestinationConfig{Next: &backend{can: can}})
		for i, codec := range testkit.Codecs() {
			if err := p.consumeIn(codec, "", long(i)); err != nil {
				t.Fatal(err)
			}
		}
		p.end()
		image = m
	})
	name, size := segmentIn(t, image)
	sent := len(testkit.Codecs())
	for at := 64; at < size; at += 17 {
		synctest.Test(t, func(t *testing.T) {
			m := image.Crash(vfs.KeepAll, nil)
			flip(t, m, name, int64(at), byte(1<<(at%8)))
			b := &backend{can: can}
			p := open(t, disk(t, m), DestinationConfig{Next: b, Logger: nil})
			p.dest.Start()
			time.Sleep(time.Minute)
			l := p.balanced()
			p.end()
			different, _ := b.has()
			if len(b.unequal) > 0 || different+int(l.Damaged) != sent || len(p.dead()) > 0 {
				t.Errorf("byte %d: %d arrived, %+v, %v", at, different, l, b.unequal)
			}
			for body := range b.taken {
				if !strings.HasPrefix(body, long(0)[:10000]) {
					t.Errorf("byte %d: another body arrived", at)
				}
			}
		})
	}
}

// segmentIn is the segment of a journal that has been closed.
func segmentIn(t *testing.T, m *vfs.Mem) (name string, size int) {
	t.Helper()
	list, err := m.List(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if strings.HasSuffix(f.Name, ".seg") {
			name, size = f.Name, int(f.Size)
		}
	}
	return name, size
}

// flip alters bits of a byte.
func flip(t *testing.T, m *vfs.Mem, name string, at int64, bits byte) {
	t.Helper()
	f, err := m.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	b[0] ^= bits
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// A record whose body is not what it says is damaged also if its checksum is right, and the
// others are sent.
func TestUndecodableIsDamaged(t *testing.T) {
	plain := logRequest(long(1))
	good := record.Record{Signal: otlp.Logs, Codec: pipeline.CodecGzip, Plain: len(plain), Single: true, Items: 1, Body: testkit.Compress(pipeline.CodecGzip, plain)}
	for name, change := range map[string]func(r *record.Record){
		"cut off":           func(r *record.Record) { r.Body = r.Body[:len(r.Body)-9] },
		"longer than it is": func(r *record.Record) { r.Plain-- },
		"shorter":           func(r *record.Record) { r.Plain++ },
		"another codec":     func(r *record.Record) { r.Codec = pipeline.CodecZstd },
		"altered":           func(r *record.Record) { r.Body[20] ^= 1 },
	} {
		for _, several := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/several ", several), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := &backend{can: pipeline.Capabilities{Codecs: pipeline.AllCodecs(), Members: pipeline.AllCodecs()}}
					p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b})
					bad := good
					bad.Body = slices.Clone(good.Body)
					change(&bad)
					header, err := record.AppendHeader(nil, &bad, record.Keep{})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := p.j.Append(t.Context(), journal.Record{Parts: [][]byte{header, bad.Body}, Units: 1, Codec: uint8(bad.Codec), Plain: int64(len(header) + len(plain))}); err != nil {
						t.Fatal(err)
					}
					want := 0
					if several {
						want = 1
						if err := p.consumeIn(bad.Codec, "", long(7)); err != nil {
							t.Fatal(err)
						}
					}
					p.dest.Start()
					time.Sleep(time.Minute)
					l := p.balanced()
					p.end()
					if different, _ := b.has(); different != want || l.Damaged != 1 || l.Held != 0 || len(b.unequal) > 0 || len(p.dead()) > 0 {
						t.Errorf("%d arrived, %+v, %v", different, l, b.unequal)
					}
				})
			})
		}
	}
}

// A codec of a later version makes a dead letter, not damage: that version can read it.
func TestLaterCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead []DeadLetter
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: &backend{}, DeadLetters: func(_ context.Context, l DeadLetter) error {
			dead = append(dead, l)
			return nil
		}})
		later := record.Record{Signal: otlp.Logs, Codec: 77, Plain: 100, Items: 1, Body: []byte("x")}
		header, err := record.AppendHeader(nil, &later, record.Keep{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.j.Append(t.Context(), journal.Record{Parts: [][]byte{header, later.Body}, Units: 1, Codec: 77, Plain: int64(len(header) + 100)}); err != nil {
			t.Fatal(err)
		}
		p.dest.Start()
		time.Sleep(time.Minute)
		if l := p.balanced(); l.DeadLettered != 1 || len(dead) != 1 || !strings.Contains(dead[0].Err.Error(), "unknown codec") {
			t.Errorf("%+v, %d dead letters", l, len(dead))
		}
		p.end()
	})
}

// encoding is a destination that compresses each batch as clients do.
type encoding struct {
	pipeline.Consumer
	made atomic.Int64
	fail func() error
}

func (e *encoding) Consume(ctx context.Context, b *pipeline.Batch) error {
	_, err := b.EncodeOnce(ctx, pipeline.EncodeKey{Codec: pipeline.CodecGzip}, func(_ context.Context, buf *pipeline.Buffer) error {
		e.made.Add(1)
		buf.Bytes = append(buf.Bytes, testkit.Compress(pipeline.CodecGzip, b.Bytes())...)
		return nil
	})
	if err == nil {
		err = e.fail()
	}
	return err
}

// A request is compressed once, for all destinations of a log and for all attempts, while
// it is in memory, also where the journal is.
func TestCompressedOnce(t *testing.T) {
	for name, o := range map[string]journal.Options{
		"on disk":   {MaxBytes: 4 << 20, ReserveBytes: -1},
		"in memory": {InMemory: true, MaxBytes: 4 << 20, RecentBytes: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, err := journal.Open(disk(t, vfs.NewMem(16<<20)), o)
				if err != nil {
					t.Fatal(err)
				}
				log := NewLog(j, record.Keep{})
				var mu sync.Mutex
				attempts := map[string]int{}
				failing := func(name string) func() error {
					return func() error {
						mu.Lock()
						defer mu.Unlock()
						if attempts[name]++; attempts[name]%2 == 1 {
							return errDown
						}
						return nil
					}
				}
				made := &encoding{}
				var all []*Destination
				for _, name := range []string{"a", "b", "c"} {
					next := &sharedEncoding{made, failing(name)}
					d, err := log.Destination(DestinationConfig{Name: name, Signal: otlp.Logs, Next: next, InitialBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
					if err != nil {
						t.Fatal(err)
					}
					d.Start()
					all = append(all, d)
				}
				const requests = 5
				for i := range requests {
					b := testkit.PooledBatch(t, otlp.Logs, logRequest(long(i)), nil)
					if err := log.Consume(t.Context(), b); err != nil {
						t.Fatal(err)
					}
					b.Release()
					time.Sleep(100 * time.Millisecond)
				}
				for _, d := range all {
					if l := d.Ledger(); l.Delivered != requests {
						t.Errorf("%+v", l)
					}
					if err := d.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if err := j.Close(); err != nil {
					t.Error(err)
				}
				if n := made.made.Load(); n != requests {
					t.Errorf("%d requests were compressed %d times", requests, n)
				}
			})
		})
	}
}

// sharedEncoding is an encoding that counts in another one.
type sharedEncoding struct {
	*encoding
	fail func() error
}

func (e *sharedEncoding) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (e *sharedEncoding) Consume(ctx context.Context, b *pipeline.Batch) error {
	one := &encoding{fail: e.fail}
	err := one.Consume(ctx, b)
	e.made.Add(one.made.Load())
	return err
}

// A Direct compresses once too, however often it sends.
func TestDirectCompressesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		e := &encoding{Consumer: &backend{}, fail: func() error {
			if calls++; calls < 4 {
				return errDown
			}
			return nil
		}}
		d := NewDirect(DestinationConfig{Name: "a", Signal: otlp.Logs, Next: e})
		b := testkit.PooledBatch(t, otlp.Logs, logRequest(long(1)), nil)
		defer b.Release()
		if err := d.Consume(t.Context(), b); err != nil || calls != 4 || e.made.Load() != 1 {
			t.Errorf("compressed %d times for %d attempts: %v", e.made.Load(), calls, err)
		}
	})
}

// What is read from the journal is charged to the budget before it is decompressed, with
// its compressed bytes, and given back.
func TestCompressedIsCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := admission.New(admission.Config{Bytes: 1 << 20})
		b, dir := &backend{can: pipeline.Capabilities{Codecs: pipeline.AllCodecs(), Members: pipeline.CodecsOf(pipeline.CodecZstd)}}, disk(t, vfs.NewMem(16<<20))
		var least int64 = 1 << 62
		next := &codecSink{func(batch *pipeline.Batch) {
			least = min(least, memory.Stats().Used-int64(cap(batch.Bytes())+cap(batch.Encoded().Bytes)))
			_ = b.Consume(context.Background(), batch)
		}}
		fill := func(p *process) {
			for i := range 20 {
				codec := []pipeline.Codec{pipeline.CodecGzip, pipeline.CodecZstd}[i/10]
				if err := p.consumeIn(codec, "", long(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		p := open(t, dir, DestinationConfig{Next: b})
		fill(p)
		p.end()
		p = open(t, dir, DestinationConfig{Next: next, Memory: memory, MaxInFlight: 1})
		p.dest.Start()
		synctest.Wait()
		p.end()
		if different, _ := b.has(); different != 20 || least < 0 || memory.Stats().Used != 0 {
			t.Errorf("%d arrived, at least %d bytes were charged beside theirs, %d are left", different, least, memory.Stats().Used)
		}
		// A request that needs more than there is is divided into its records.
		small := admission.New(admission.Config{Bytes: 120 << 10})
		p = open(t, dir, DestinationConfig{Next: b, Memory: small, Merge: Merge{MaxItems: 100}})
		fill(p)
		p.end()
		p = open(t, dir, DestinationConfig{Next: b, Memory: small, Merge: Merge{MaxItems: 100}})
		p.dest.Start()
		time.Sleep(time.Hour)
		if l := p.balanced(); l.Held != 0 || l.Delivered != 40 || small.Stats().Used != 0 {
			t.Errorf("%+v", l)
		}
		p.end()
		if len(b.unequal) > 0 {
			t.Error(b.unequal)
		}
	})
}

// Profiles have a dictionary: they are never laid end to end.
func TestProfilesAreNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var codecs []pipeline.Codec
		var problems []error
		next := &codecSink{func(b *pipeline.Batch) {
			mu.Lock()
			defer mu.Unlock()
			codecs = append(codecs, b.Encoded().Codec)
			problems = append(problems, decompressed(b))
		}}
		j, err := journal.Open(disk(t, vfs.NewMem(16<<20)), journal.Options{MaxBytes: 4 << 20, ReserveBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		log := NewLog(j, record.Keep{})
		d, err := log.Destination(DestinationConfig{Name: "profiles", Signal: otlp.Profiles, Next: next, Merge: Merge{MaxItems: 1 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		payloads := testkit.ProfilerPayloads(t)
		for _, name := range []string{"oncpu-010.binpb", "oncpu-011.binpb", "oncpu-013.binpb"} {
			for range 2 {
				b, err := pipeline.NewBatch(otlp.Profiles, payloads[name], nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := log.Consume(t.Context(), testkit.Attach(b, pipeline.CodecGzip)); err != nil {
					t.Fatal(err)
				}
				b.Release()
			}
		}
		d.Start()
		synctest.Wait()
		if err := errors.Join(d.Shutdown(t.Context()), j.Close(), errors.Join(problems...)); err != nil {
			t.Error(err)
		}
		if !slices.Equal(codecs, []pipeline.Codec{pipeline.CodecNone}) {
			t.Errorf("arrived in %v", codecs)
		}
	})
}

// codecSink can use all compressed bytes.
type codecSink struct{ took func(*pipeline.Batch) }

func (*codecSink) Capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{Codecs: pipeline.AllCodecs(), Members: pipeline.AllCodecs()}
}

func (s *codecSink) Consume(_ context.Context, b *pipeline.Batch) error {
	s.took(b)
	return nil
}
