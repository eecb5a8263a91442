package libpf

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
)

const frameIDBytes = hash128Bytes + 8

// FrameID identifies a frame by a file and an address or line in it. It is comparable.
//
//	Bytes                                       16 bytes of the file, 8 of the address, big-endian
//	String, EncodeTo, MarshalText, %s, %v       their base64: 32 characters, URL alphabet
//
// It differs from the type of this name in earlier profilers in one point: its JSON is
// its text in quotes, for values and for keys of maps. It used to be {}, which lost the
// id; such JSON is an error when decoded.
type FrameID struct {
	fileID          FileID
	addressOrLineno AddressOrLineno
}

// NewFrameID returns the id of a frame.
func NewFrameID(fileID FileID, addressOrLineno AddressOrLineno) FrameID {
	return FrameID{fileID, addressOrLineno}
}

// NewFrameIDFromString parses the form that String returns.
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

// NewFrameIDFromBytes decodes the form that Bytes returns.
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

// Equal reports whether both ids are equal.
func (f FrameID) Equal(other FrameID) bool { return f == other }

// Less reports whether f sorts before other.
func (f FrameID) Less(other FrameID) bool { return f.Compare(other) < 0 }

// Compare returns -1, 0 or +1. It compares the files, then the addresses, which is the
// order of the bytes.
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

// Hash returns the 64-bit XXH3 hash of the bytes.
func (f FrameID) Hash() uint64 {
	b := f.array()
	return xxh3(b[:])
}

// Hash32 returns the lower half of Hash, as a key for caches.
func (f FrameID) Hash32() uint32 { return uint32(f.Hash()) }

// AsIP returns the id as an IPv6 address, for stores that index ranges of these: the
// upper half of the file's id and the address. The lower half is lost.
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

// EncodeTo writes the base64 text to dst. It panics if dst is shorter than EncodedLen.
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

// MarshalText implements encoding.TextMarshaler, which JSON uses.
func (f FrameID) MarshalText() ([]byte, error) {
	return f.AppendText(make([]byte, 0, f.EncodedLen()))
}

// UnmarshalText implements encoding.TextUnmarshaler, which JSON uses. It parses the
// form that String returns.
func (f *FrameID) UnmarshalText(text []byte) error {
	v, err := NewFrameIDFromString(string(text))
	if err != nil {
		return err
	}
	*f = v
	return nil
}
