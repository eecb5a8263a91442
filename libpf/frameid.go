package libpf

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
)

const frameIDBytes = hash128Bytes + 8

// FrameID is a file and an address or line in it. It is comparable.
//
//	Bytes                                       16 bytes of the file, 8 of the address, big-endian
//	String, EncodeTo, MarshalText, %s, %v       their base64: 32 characters, URL alphabet
//
// It differs from the type known so far in one point: its JSON is its text, in
// quotes, for values and for keys of maps. It used to be {}, which lost the id;
// such JSON is refused when read.
type FrameID struct {
	fileID          FileID
	addressOrLineno AddressOrLineno
}

// NewFrameID returns the id of a frame.
func NewFrameID(fileID FileID, addressOrLineno AddressOrLineno) FrameID {
	return FrameID{fileID, addressOrLineno}
}

// NewFrameIDFromString reads what String returns.
func NewFrameIDFromString(s string) (FrameID, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return FrameID{}, fmt.Errorf("frame id %s: expected base64 of the URL alphabet without padding: %w", quoteShort(s), err)
	}
	f, err := frameIDFromBytes(b)
	if err == nil && len(s) != f.EncodedLen() { // the decoder skips line ends
		err = fmt.Errorf("expected %d characters, found %d", f.EncodedLen(), len(s))
	}
	if err != nil {
		return FrameID{}, fmt.Errorf("frame id %s in base64: %w", quoteShort(s), err)
	}
	return f, nil
}

// NewFrameIDFromBytes reads what Bytes returns.
func NewFrameIDFromBytes(b []byte) (FrameID, error) {
	f, err := frameIDFromBytes(b)
	if err != nil {
		return FrameID{}, fmt.Errorf("frame id from bytes: %w", err)
	}
	return f, nil
}

func frameIDFromBytes(b []byte) (FrameID, error) {
	if len(b) != frameIDBytes {
		return FrameID{}, fmt.Errorf("found %d bytes, expected %d", len(b), frameIDBytes)
	}
	hi, lo := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	return FrameID{NewFileID(hi, lo), AddressOrLineno(binary.BigEndian.Uint64(b[16:]))}, nil
}

// FileID returns the file.
func (f FrameID) FileID() FileID { return f.fileID }

// AddressOrLine returns the address or line.
func (f FrameID) AddressOrLine() AddressOrLineno { return f.addressOrLineno }

// Equal says whether both are the same.
func (f FrameID) Equal(other FrameID) bool { return f == other }

// Less says whether f comes before other.
func (f FrameID) Less(other FrameID) bool { return f.Compare(other) < 0 }

// Compare returns -1, 0 or +1: by file, then by address. It is the order of the
// bytes.
func (f FrameID) Compare(other FrameID) int {
	if c := f.fileID.Compare(other.fileID); c != 0 {
		return c
	}
	return cmp.Compare(f.addressOrLineno, other.addressOrLineno)
}

// Bytes returns the 24 bytes.
func (f FrameID) Bytes() []byte {
	b := f.array()
	return b[:]
}

func (f FrameID) array() (b [frameIDBytes]byte) {
	binary.BigEndian.PutUint64(b[:], f.fileID.hi)
	binary.BigEndian.PutUint64(b[8:], f.fileID.lo)
	binary.BigEndian.PutUint64(b[16:], uint64(f.addressOrLineno))
	return b
}

// Hash returns the XXH3 of the bytes, in 64 bits.
func (f FrameID) Hash() uint64 {
	b := f.array()
	return xxh3(b[:])
}

// Hash32 returns the lower half of Hash, as a key for caches.
func (f FrameID) Hash32() uint32 { return uint32(f.Hash()) }

// AsIP returns the id as an address of IPv6, for stores that index ranges of
// those: the upper half of the file and the address. The lower half is lost.
func (f FrameID) AsIP() net.IP {
	ip := make(net.IP, net.IPv6len)
	binary.BigEndian.PutUint64(ip, f.fileID.hi)
	binary.BigEndian.PutUint64(ip[8:], uint64(f.addressOrLineno))
	return ip
}

// String returns the base64 text.
func (f FrameID) String() string {
	b := f.array()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// EncodeTo writes the base64 text to dst, which must have room for EncodedLen
// bytes; it panics if it has not.
func (f FrameID) EncodeTo(dst []byte) {
	b := f.array()
	base64.RawURLEncoding.Encode(dst, b[:])
}

// EncodedLen returns the length of the base64 text in bytes.
func (FrameID) EncodedLen() int { return base64.RawURLEncoding.EncodedLen(frameIDBytes) }

// AppendText implements encoding.TextAppender.
func (f FrameID) AppendText(dst []byte) ([]byte, error) {
	b := f.array()
	return base64.RawURLEncoding.AppendEncode(dst, b[:]), nil
}

// MarshalText implements encoding.TextMarshaler, and by it JSON.
func (f FrameID) MarshalText() ([]byte, error) {
	return f.AppendText(make([]byte, 0, f.EncodedLen()))
}

// UnmarshalText implements encoding.TextUnmarshaler, and by it JSON. It reads
// what String returns.
func (f *FrameID) UnmarshalText(text []byte) error {
	v, err := NewFrameIDFromString(string(text))
	if err != nil {
		return err
	}
	*f = v
	return nil
}
