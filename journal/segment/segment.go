// Package segment is the format of a file of records: framing, checksums, and a
// scanner that finds every undamaged record. It knows nothing of what records contain,
// and nothing of how many files there are: package journal makes a log of them.
//
// # Format, version 1
//
// Integers are little-endian. A file is a header and records, each of which begins at a
// multiple of 8:
//
//	┌────────┬────────┬────────┬─ ─ ─┬──────┬───────────────────────┐
//	│ header │ record │ record │     │ seal │ zeros (preallocated)  │
//	└────────┴────────┴────────┴─ ─ ─┴──────┴───────────────────────┘
//
// The header has 64 bytes:
//
//	 0  8  "PENSTOCK"
//	 8  2  version of the format
//	10  2  the least version that a reader must know
//	12  4  0
//	16  8  number: the place of the segment in its log, rising
//	24  8  id: random, in each record as well
//	32  8  sequence of the first record
//	40  8  time of creation, in nanoseconds since 1970
//	48  8  0
//	56  4  0
//	60  4  CRC32C of bytes 0 to 59
//
// A record has 64 bytes in front of its payload, which is padded with zeros to a
// multiple of 8:
//
//	 0  4  CRC32C of bytes 4 to 63, and so, through the payload's CRC, of everything
//	 4  4  "PSR1"
//	 8  8  id of the segment
//	16  8  sequence
//	24  4  length of the payload as it is stored
//	28  4  CRC32C of the payload as it is stored
//	32  4  length of the payload before compression
//	36  1  kind: 0 data, 1 seal
//	37  1  codec: 0 none, 1 zstd; from 128 on one of the owner, who compressed the payload and
//	       decompresses it
//	38  2  tag: the owner's
//	40  4  place in its group: sequence minus the sequence of the group's first record
//	44  4  units: the owner's count of what the record has
//	48  8  units of all records before, since the log began
//	56  8  bytes of all records before, since the log began: of each the length of the payload as
//	       it is stored, with a codec of the owner that before compression
//
// A group is what was made durable at a time. So when a record is there, all records
// before its group were durable; one that is missing among those is damage. Only in the
// last group of a file that was not sealed a record may be missing since the write was
// cut short; it was not acknowledged.
//
// The sums before a record tell what was in records that are damaged.
//
// A file that is complete ends with a seal, a record of kind 1 whose sequence is that of
// the next record, and whose payload is 8 bytes: the sequence from which on records may
// be missing since a write was cut short, or 0.
//
// Records are found by their marker, the random id and the checksum; the id keeps
// payloads from containing what looks like a record of the same file, and records of a
// file from being read as those of another. A record whose payload is damaged is
// skipped by its length; if the 64 bytes are damaged, the next record is searched for.
package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Version is the version of the format that this package writes.
const Version = 1

// Sizes in bytes.
const (
	HeaderSize       = 64
	RecordHeaderSize = 64
	SealSize         = RecordHeaderSize + 8
	align            = 8
)

const (
	magic  = "PENSTOCK"
	marker = "PSR1"
)

// Errors of what was read.
var (
	ErrCorrupt = errors.New("damaged")
	ErrVersion = errors.New("written by a later version of penstock")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum continues crc, which begins as 0, with b.
func Checksum(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// Header is the beginning of a file.
type Header struct {
	Number  uint64
	ID      uint64
	First   uint64
	Created int64 // nanoseconds since 1970
}

// Append appends the header's HeaderSize bytes.
func (h Header) Append(dst []byte) []byte {
	b := append(dst, magic...)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, v := range [...]uint64{h.Number, h.ID, h.First, uint64(h.Created), 0} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, Checksum(0, b[len(dst):]))
}

// ParseHeader reads a header. ErrVersion means that this version must not touch the
// file; ErrCorrupt that the records, if there are any, have to be found without it.
func ParseHeader(b []byte) (h Header, err error) {
	switch {
	case len(b) < HeaderSize:
		return h, fmt.Errorf("read the header: %w: %d bytes, expected %d", ErrCorrupt, len(b), HeaderSize)
	case string(b[:8]) != magic:
		return h, fmt.Errorf("read the header: %w: it does not begin with %s", ErrCorrupt, magic)
	case Checksum(0, b[:60]) != binary.LittleEndian.Uint32(b[60:]):
		return h, fmt.Errorf("read the header: %w: wrong checksum", ErrCorrupt)
	}
	if least := binary.LittleEndian.Uint16(b[10:]); least > Version {
		return h, fmt.Errorf("read the header: %w: format %d, this one reads up to %d", ErrVersion, least, Version)
	}
	return Header{Number: binary.LittleEndian.Uint64(b[16:]), ID: binary.LittleEndian.Uint64(b[24:]),
		First: binary.LittleEndian.Uint64(b[32:]), Created: int64(binary.LittleEndian.Uint64(b[40:]))}, nil
}

// Kind is what a record is.
type Kind uint8

// The kinds of records.
const (
	Data Kind = iota
	Seal
)

// Codec is how a payload is compressed.
type Codec uint8

// The codecs.
const (
	None Codec = iota
	Zstd
	// Owner is the first codec of the owner: the payload is stored and read as the owner
	// has given it.
	Owner Codec = 128
)

// Totals are sums since a log began.
type Totals struct {
	Units uint64
	Bytes uint64 // of payloads, see Record.Bytes
}

// Add adds what a record has.
func (t Totals) Add(r Record) Totals {
	return Totals{t.Units + uint64(r.Units), t.Bytes + uint64(r.Bytes())}
}

// Record is a record without its payload.
type Record struct {
	Sequence uint64
	Stored   uint32 // length of the payload in the file
	CRC      uint32 // of the payload in the file
	Length   uint32 // of the payload before compression
	Kind     Kind
	Codec    Codec
	Tag      uint16
	InGroup  uint32
	Units    uint32
	Before   Totals
}

// Bytes is as how many bytes the record counts in Totals.
func (r Record) Bytes() uint32 {
	if r.Codec >= Owner {
		return r.Length
	}
	return r.Stored
}

// PayloadBytes is the length of the payload as its reader gets it.
func (r Record) PayloadBytes() uint32 {
	if r.Codec >= Owner {
		return r.Stored
	}
	return r.Length
}

// Size is the length of the record in a file.
func (r Record) Size() int64 { return RecordHeaderSize + padded(int64(r.Stored)) }

// GroupStart is the sequence of the first record of the record's group.
func (r Record) GroupStart() uint64 { return r.Sequence - uint64(r.InGroup) }

func padded(n int64) int64 { return (n + align - 1) &^ (align - 1) }

// Padding returns the zeros that follow a payload of n bytes.
func Padding(n int) []byte { return zeros[:padded(int64(n))-int64(n)] }

var zeros [align]byte

// AppendHeader appends the RecordHeaderSize bytes in front of the payload.
func (r Record) AppendHeader(dst []byte, id uint64) []byte {
	b := binary.LittleEndian.AppendUint32(dst, 0)
	b = append(b, marker...)
	b = binary.LittleEndian.AppendUint64(b, id)
	b = binary.LittleEndian.AppendUint64(b, r.Sequence)
	for _, v := range [...]uint32{r.Stored, r.CRC, r.Length} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = append(b, byte(r.Kind), byte(r.Codec))
	b = binary.LittleEndian.AppendUint16(b, r.Tag)
	b = binary.LittleEndian.AppendUint32(b, r.InGroup)
	b = binary.LittleEndian.AppendUint32(b, r.Units)
	b = binary.LittleEndian.AppendUint64(b, r.Before.Units)
	b = binary.LittleEndian.AppendUint64(b, r.Before.Bytes)
	own := b[len(dst):]
	binary.LittleEndian.PutUint32(own, Checksum(0, own[4:]))
	return b
}

// ParseRecord reads the bytes in front of a payload. ok is false if they are not those
// of a record of the segment id.
func ParseRecord(b []byte, id uint64) (r Record, ok bool) {
	if len(b) < RecordHeaderSize || string(b[4:8]) != marker || binary.LittleEndian.Uint64(b[8:]) != id ||
		Checksum(0, b[4:RecordHeaderSize]) != binary.LittleEndian.Uint32(b) {
		return r, false
	}
	r = Record{
		Sequence: binary.LittleEndian.Uint64(b[16:]),
		Stored:   binary.LittleEndian.Uint32(b[24:]),
		CRC:      binary.LittleEndian.Uint32(b[28:]),
		Length:   binary.LittleEndian.Uint32(b[32:]),
		Kind:     Kind(b[36]),
		Codec:    Codec(b[37]),
		Tag:      binary.LittleEndian.Uint16(b[38:]),
		InGroup:  binary.LittleEndian.Uint32(b[40:]),
		Units:    binary.LittleEndian.Uint32(b[44:]),
		Before:   Totals{binary.LittleEndian.Uint64(b[48:]), binary.LittleEndian.Uint64(b[56:])},
	}
	return r, r.Kind <= Seal && r.Sequence >= uint64(r.InGroup)
}

// AppendSeal appends a seal. uncertain is the sequence from which on records may be
// missing since a write was cut short; 0 means that none are.
func AppendSeal(dst []byte, id, next, uncertain uint64, totals Totals) []byte {
	payload := binary.LittleEndian.AppendUint64(nil, uncertain)
	r := Record{Sequence: next, Stored: 8, Length: 8, CRC: Checksum(0, payload), Kind: Seal, Before: totals}
	return append(r.AppendHeader(dst, id), payload...)
}

// ParseSeal reads the last SealSize bytes of a file, and returns the seal and its
// uncertain sequence.
func ParseSeal(b []byte, id uint64) (seal Record, uncertain uint64, ok bool) {
	r, ok := ParseRecord(b, id)
	if !ok || r.Kind != Seal || len(b) != SealSize || Checksum(0, b[RecordHeaderSize:]) != r.CRC {
		return Record{}, 0, false
	}
	return r, binary.LittleEndian.Uint64(b[RecordHeaderSize:]), true
}
