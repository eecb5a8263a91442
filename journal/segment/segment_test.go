package segment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	whole  = flag.Bool("whole", false, "flip every bit of the segment instead of a sample")
)

const testID = 0x1122334455667788

// file builds a segment of records with the given payloads, and of size bytes or as
// long as it has to be.
func file(size int, payloads ...[]byte) ([]byte, []Record) {
	b := Header{Number: 7, ID: testID, First: 100, Created: 1}.Append(nil)
	var records []Record
	var totals Totals
	for i, p := range payloads {
		r := Record{Sequence: 100 + uint64(i), Stored: uint32(len(p)), Length: uint32(len(p)), CRC: Checksum(0, p),
			Tag: uint16(i), InGroup: uint32(i % 3), Units: uint32(i * 10), Before: totals}
		totals = totals.Add(r)
		b = append(r.AppendHeader(b, testID), p...)
		b = append(b, Padding(len(p))...)
		records = append(records, r)
	}
	if len(b) < size {
		b = append(b, make([]byte, size-len(b))...)
	}
	return b, records
}

func payloads(n int, r *rand.Rand) (list [][]byte) {
	for range n {
		p := make([]byte, r.IntN(600))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		list = append(list, p)
	}
	return list
}

// scanAll returns what a scan finds.
func scanAll(b []byte) (records []Record, offsets []int64, s *Scanner) {
	s = NewScanner(bytes.NewReader(b), testID, 0, int64(len(b)))
	for s.Next() {
		r, off := s.Record()
		records, offsets = append(records, r), append(offsets, off)
	}
	return records, offsets, s
}

func TestFormat(t *testing.T) {
	b, records := file(0, []byte("hello"), nil, []byte("12345678"))
	b = AppendSeal(b, testID, 103, 102, records[2].Before.Add(records[2]))
	golden := filepath.Join("testdata", "v1.hex")
	if *update {
		if err := os.WriteFile(golden, []byte(hex.Dump(b)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(b); got != string(want) {
		t.Errorf("the format has changed; a new version is needed. Written now:\n%s", got)
	}
	h, err := ParseHeader(b)
	if want := (Header{Number: 7, ID: testID, First: 100, Created: 1}); err != nil || h != want {
		t.Errorf("header %+v, %v, want %+v", h, err, want)
	}
	found, offsets, s := scanAll(b)
	if fmt.Sprint(found) != fmt.Sprint(records) || s.Damaged() != 0 || s.End() != int64(len(b)) {
		t.Errorf("found %v (%d bytes damaged, end %d), want %v", found, s.Damaged(), s.End(), records)
	}
	seal, uncertain, ok := ParseSeal(b[len(b)-SealSize:], testID)
	if !ok || uncertain != 102 || seal.Sequence != 103 || seal.Before != (Totals{30, 13}) {
		t.Errorf("seal %+v, %d, %v", seal, uncertain, ok)
	}
	buf := make([]byte, 5)
	if err := Read(bytes.NewReader(b), testID, records[0], offsets[0], buf); err != nil || string(buf) != "hello" {
		t.Errorf("read %q, %v", buf, err)
	}
}

// A file of a later version has another error than one that is damaged.
func TestVersions(t *testing.T) {
	b := Header{Number: 1, ID: 2, First: 3}.Append(nil)
	b[10]++
	if _, err := ParseHeader(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with a wrong checksum: %v", err)
	}
	crc := Checksum(0, b[:60])
	b[60], b[61], b[62], b[63] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
	if _, err := ParseHeader(b); !errors.Is(err, ErrVersion) {
		t.Errorf("of a later version: %v", err)
	}
}

// Every flipped bit costs at most the record that it is in.
func TestFlippedBits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b, records := file(64<<10, payloads(180, r)...)
	step := 211 // of the 524,288 bits; a prime, so that all places in a byte are met
	if *whole {
		step = 1
	}
	for bit := r.IntN(step); bit < len(b)*8; bit += step {
		b[bit/8] ^= 1 << (bit % 8)
		found, offsets, _ := scanAll(b)
		i := 0
		for _, want := range records {
			if i < len(found) && found[i] == want {
				if bit/8 >= int(offsets[i]) && bit/8 < int(offsets[i])+RecordHeaderSize+int(want.Stored) {
					t.Fatalf("bit %d: record %d is altered and was found", bit, want.Sequence)
				}
				i++
			}
		}
		if i != len(found) {
			t.Fatalf("bit %d: found something that was not written", bit)
		}
		if lost := len(records) - len(found); lost > 1 {
			t.Fatalf("bit %d: %d records lost, want at most 1", bit, lost)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// Whatever happens to a part of a file, the records before and after are found.
func TestDamagedRanges(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	payload := payloads(1000, r)
	payload[500] = bytes.Repeat([]byte("x"), 700<<10) // larger than the window
	pristine, records := file(0, payload...)
	_, offsets, _ := scanAll(pristine)
	for round := range 200 {
		b := bytes.Clone(pristine)
		from := HeaderSize + r.IntN(len(b)-HeaderSize)
		to := min(len(b), from+1+r.IntN(1+r.IntN(len(b))))
		for i := from; i < to; i++ {
			switch round % 3 {
			case 0:
				b[i] = 0
			case 1:
				b[i] = 0xff
			case 2:
				b[i] = byte(r.Uint32())
			}
		}
		found, _, s := scanAll(b)
		var want []Record
		for i, rec := range records {
			if end := offsets[i] + RecordHeaderSize + int64(rec.Stored); end <= int64(from) || offsets[i] >= int64(to) ||
				bytes.Equal(b[offsets[i]:end], pristine[offsets[i]:end]) {
				want = append(want, rec)
			}
		}
		if fmt.Sprint(found) != fmt.Sprint(want) {
			t.Fatalf("damage from %d to %d: found %d records, want %d", from, to, len(found), len(want))
		}
		if lost := len(records) - len(found); lost > 0 && s.Damaged() == 0 && to < len(b) {
			t.Fatalf("damage from %d to %d: %d records lost and no damage counted", from, to, lost)
		}
	}
}

// pages fails to read some pages.
type pages struct {
	b   []byte
	bad map[int64]bool
}

var errIO = errors.New("input/output error")

func (p pages) ReadAt(b []byte, off int64) (int, error) {
	for at := off / pageSize; at*pageSize < off+int64(len(b)); at++ {
		if p.bad[at] {
			return 0, errIO
		}
	}
	return bytes.NewReader(p.b).ReadAt(b, off)
}

func TestUnreadablePage(t *testing.T) {
	b, records := file(0, payloads(200, rand.New(rand.NewPCG(5, 6)))...)
	s := NewScanner(pages{b, map[int64]bool{3: true}}, testID, 0, int64(len(b)))
	n := 0
	for s.Next() {
		n++
	}
	if lost := len(records) - n; lost == 0 || lost > 20 {
		t.Errorf("lost %d records with one page", lost)
	}
	if !errors.Is(s.Unread(), errIO) {
		t.Errorf("error %v", s.Unread())
	}
}

// What is not zero behind the last record is counted, and Used is after it.
func TestTornTail(t *testing.T) {
	b, records := file(64<<10, []byte("first"), bytes.Repeat([]byte("second"), 100))
	_, offsets, _ := scanAll(b)
	for cut := int(offsets[1]); cut < int(offsets[1])+RecordHeaderSize+600; cut += 7 {
		torn := bytes.Clone(b)
		clear(torn[cut:])
		found, _, s := scanAll(torn)
		if len(found) != 1 || found[0] != records[0] {
			t.Fatalf("cut at %d: found %v", cut, found)
		}
		if s.End() != offsets[1] || s.Used() < int64(cut)-8 || s.Used() > int64(cut)+8 {
			t.Fatalf("cut at %d: end %d, used %d; want end %d", cut, s.End(), s.Used(), offsets[1])
		}
	}
}

// FuzzScan puts bytes between records: all records are found, and nothing else.
func FuzzScan(f *testing.F) {
	b, _ := file(0, []byte("hello"), []byte("world"))
	f.Add(b, []byte("payload"))
	f.Add(b[HeaderSize+8:], []byte(nil))
	f.Add([]byte("PSR1"), []byte("PSR1"))
	f.Fuzz(func(t *testing.T, junk, payload []byte) {
		const id = 42 // what the fuzzer knows are records of another segment
		r := Record{Sequence: 1, Stored: uint32(len(payload)), Length: 9, CRC: Checksum(0, payload)}
		b := Header{ID: id}.Append(nil)
		for range 2 {
			b = append(append(b, junk...), make([]byte, padded(int64(len(junk)))-int64(len(junk)))...)
			b = append(append(r.AppendHeader(b, id), payload...), Padding(len(payload))...)
			r.Sequence++
		}
		b = append(b, junk...)
		s := NewScanner(bytes.NewReader(b), id, 0, int64(len(b)))
		var found []uint64
		for s.Next() {
			got, off := s.Record()
			buf := make([]byte, got.Stored)
			if err := Read(bytes.NewReader(b), id, got, off, buf); err != nil || !bytes.Equal(buf, payload) {
				t.Fatalf("record %d: read %d bytes, %v", got.Sequence, len(buf), err)
			}
			found = append(found, got.Sequence)
		}
		if fmt.Sprint(found) != "[1 2]" {
			t.Fatalf("found %v, want [1 2]", found)
		}
	})
}

// FuzzHeader: what parses is written as it was read.
func FuzzHeader(f *testing.F) {
	f.Add(Header{Number: 1, ID: 2, First: 3, Created: 4}.Append(nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		again, err := ParseHeader(h.Append(nil))
		if err != nil || again != h {
			t.Fatalf("%+v was read again as %+v, %v", h, again, err)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	data, _ := file(64<<20, payloads(50000, r)...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		s := NewScanner(io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), testID, 0, int64(len(data)))
		for s.Next() {
		}
	}
}
