package libpf

import (
	"encoding/base64"
	"fmt"
	"math"
)

// FileID identifies an executable or a source file by its contents. Its text forms,
// and their differences from earlier profilers, are those of Hash128.
type FileID struct{ Hash128 }

// Special ids, which do not identify a file. They must not be modified.
var (
	// UnsymbolizedFileID is the file of frames that could not be symbolized.
	UnsymbolizedFileID = NewFileID(math.MaxUint64, math.MaxUint64)
	// UnknownKernelFileID is the file of kernel frames whose image is unknown.
	UnknownKernelFileID = NewFileID(math.MaxUint64-2, math.MaxUint64-2)
)

// NewFileID returns the id with these halves.
func NewFileID(hi, lo uint64) FileID { return FileID{Hash128{hi, lo}} }

// FileIDFromBytes decodes 16 bytes. nil, which means an absent field of a message,
// is the zero id. An empty slice that is not nil is an error.
func FileIDFromBytes(b []byte) (FileID, error) {
	if b == nil {
		return FileID{}, nil
	}
	h, err := hash128FromBytes(b)
	if err != nil {
		return FileID{}, fmt.Errorf("file id from bytes: %w", err)
	}
	return FileID{h}, nil
}

// FileIDFromString parses 32 hexadecimal digits in upper or lower case. It skips 0x
// before them, and dashes, as in a UUID, at any position.
func FileIDFromString(s string) (FileID, error) {
	h, err := hash128FromString(s)
	if err != nil {
		return FileID{}, fmt.Errorf("file id %s: %w", quoteShort(s), err)
	}
	return FileID{h}, nil
}

// FileIDFromBase64 decodes base64 without padding, in the URL alphabet (- and _) or
// the standard one (+ and /): some stores accept one and return the other.
func FileIDFromBase64(s string) (FileID, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		// If both fail, return the error of the URL alphabet, in which Base64 writes.
		var other error
		if b, other = base64.RawStdEncoding.DecodeString(s); other != nil {
			return FileID{}, fmt.Errorf("file id %s: expected base64 without padding: %w", quoteShort(s), err)
		}
	}
	h, err := hash128FromBytes(b)
	if err == nil && len(s) != h.EncodedLen() { // the decoder skips line ends
		err = fmt.Errorf("expected %d characters, found %d", h.EncodedLen(), len(s))
	}
	if err != nil {
		return FileID{}, fmt.Errorf("file id %s in base64: %w", quoteShort(s), err)
	}
	return FileID{h}, nil
}

// Hash32 returns 32 bits of the id, as a key for caches.
func (f FileID) Hash32() uint32 { return uint32(f.hi) }

// Equal reports whether both ids are equal.
func (f FileID) Equal(other FileID) bool { return f == other }

// Less reports whether f sorts before other.
func (f FileID) Less(other FileID) bool { return f.Hash128.Less(other.Hash128) }

// Compare returns -1, 0 or +1, like Hash128.Compare.
func (f FileID) Compare(other FileID) int { return f.Hash128.Compare(other.Hash128) }
